"""Untrusted pictures, decoded in a sandbox. Knows no queue and no Django.

`sandbox` is all that a worker imports. It starts the process of `child.zygote`, which
alone loads Pillow and forks a confined child for each picture.
"""
