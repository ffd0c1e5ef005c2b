"""Functions that the names of django-q2 enqueue, and a hook."""

told = []


def count_letters(name):
    return len(name)


def dated(day=""):
    return day


def fail(name):
    raise ValueError(name)


def hook(task):
    told.append(task)


def broken_hook(task):
    raise RuntimeError
