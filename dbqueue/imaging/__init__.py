"""Pictures of strangers, decoded where they can do no harm. Knows no queue, no Django.

`sandbox` is all that a worker imports. It starts the process of `child.zygote`, which
alone loads Pillow and forks a confined child for each picture.
"""
