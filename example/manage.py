#!/usr/bin/env python3
"""Django's command line for the example."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # Most likely a slip in the environment, which a traceback would bury.
        sys.exit(str(error))
