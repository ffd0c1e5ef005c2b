"""What the row of a job knows of its run in an engine: one module for each track."""

from dbqueue.relay.tracks.full import FullTrack
from dbqueue.relay.tracks.handoff import HandoffTrack
from dbqueue.relay.tracks.result import ResultTrack

__all__ = ["TRACKS"]

# By the name that OPTIONS["engines"] gives.
TRACKS: dict[str, type[FullTrack]] = {
    "full": FullTrack,
    "result": ResultTrack,
    "handoff": HandoffTrack,
}
