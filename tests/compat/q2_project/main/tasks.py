"""Tasks and a hook; what the hook is told is left in a file."""

from django.conf import settings


def count_letters(word):
    return len(word)


def fail(word):
    raise ValueError(word)


def hook(task):
    with (settings.VAR / "hooked").open("a") as file:
        file.write(f"{task.name} {task.success}\n")
