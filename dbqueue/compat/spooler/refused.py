"""What has no equivalent: each raises an error that names the way out."""

from collections.abc import Callable
from typing import Any, NoReturn

_CACHE = "Use django.core.cache."
_MULE = "Decorate a function with @mulefunc, or write a task."
_RPC = "Call the function through an HTTP view, or enqueue a task."
_SERVER = "It is for the web server alone; dbqueue runs jobs in processes of its own."

DECORATORS = {
    "erlang": "Write a task that speaks to Erlang.",
    "exec_command": "Call subprocess.run() in a task.",
    "farm": _MULE,
    "farm_loop": _MULE,
    "filemon": "Look for changes in a task with @timer, or use the watchdog package.",
    "mule": _MULE,
    "mule_brain": _MULE,
    "mulemsg": _MULE,
    "mulemsg_loop": _MULE,
    "mule_loop": "Write a task with @spoolforever, or a schedule.",
    "muleloop": "Write a task with @spoolforever, or a schedule.",
    "mstimer": "A schedule is at least a second long: use @timer.",
    "rpc": _RPC,
}
FUNCTIONS = {
    **dict.fromkeys(
        [
            *("cache_clear", "cache_dec", "cache_del", "cache_div", "cache_exists"),
            *("cache_get", "cache_inc", "cache_keys", "cache_mul", "cache_set"),
            *("cache_update",),
        ],
        _CACHE,
    ),
    **dict.fromkeys(["call", "rpc", "rpc_list", "register_rpc"], _RPC),
    **dict.fromkeys(
        ["farm_get_msg", "farm_msg", "in_farm", "mule_get_msg", "mule_msg"], _MULE
    ),
    **dict.fromkeys(["queue_get", "queue_push", "queue_pull"], "Enqueue a task."),
    **dict.fromkeys(
        [
            *("alarm", "accepting", "connection_fd", "disconnect", "listen_queue"),
            *("reload", "send", "sendfile", "stop", "websocket_handshake"),
            *("websocket_recv", "websocket_send", "workers"),
        ],
        _SERVER,
    ),
    "add_file_monitor": DECORATORS["filemon"],
    "add_ms_timer": DECORATORS["mstimer"],
    "set_spooler_processes": "Give `runworker` --processes and --threads.",
    "sharedarea_read": "Keep it in the database, or in django.core.cache.",
    "sharedarea_write": "Keep it in the database, or in django.core.cache.",
    "signal_wait": "Write a task, and register it with @signal.",
}


def refusal(module: str, name: str, way_out: str) -> Callable[..., NoReturn]:
    """Return a function that says what is to be used instead."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"{module}.{name} has no equivalent in dbqueue. {way_out} See the guide "
            '"Move from the uWSGI spooler".'
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse
