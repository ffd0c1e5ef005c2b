"""Pictures of strangers, decoded where they can do no harm.

`sandbox` is all that the worker imports. It starts the process of `zygote`, which alone
loads Pillow and forks a confined child for each picture.
"""
