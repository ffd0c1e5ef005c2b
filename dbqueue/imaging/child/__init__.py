"""What runs in the sandbox, where Pillow is loaded: the zygote and its children."""
