"""The fields of serializers for Django REST framework."""

from dbqueue.fields.drf import AsyncFileField, AsyncImageField

__all__ = ["AsyncFileField", "AsyncImageField"]
