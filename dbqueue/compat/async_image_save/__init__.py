"""async_image_save, of django-async-gt: `utils` has its one public function."""
