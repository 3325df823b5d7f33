"""One entry of the ledger: what was done at the vendor, as an observation in Dagster's event log keeps it.

An entry has two parts. People read the description and the metadata. We read the rest, which is stored in the event's
tags: Dagster's UI shows the metadata of an observation on the asset's page, but not its tags. A tag's value has at most
63 characters of a small alphabet, so the JSON is compressed, encoded and split over numbered tags.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import NoneType
from typing import Any

import dagster as dg

LEDGER_KEY = "dagster_runs/ledger"
"""Metadata key of the entries of earlier versions, and the beginning of the tags' keys."""
_PIECE = 63
"""Characters that Dagster allows in the value of a tag."""
MAX_PIECES = 200
"""Tags of one entry: Dagster takes more, but each is a row in its database."""


class EntryKind(str, Enum):
    """What happened."""

    STARTING = "starting"
    """The start request is about to be sent."""
    STARTED = "started"
    """The vendor gave an id; or a later attempt has attached to the run."""
    NOT_STARTED = "not_started"
    """The start was refused for certain, or never sent: no run began."""
    ABANDONED = "abandoned"
    """It is unknown whether the start began a run, and the user wants another one anyway."""
    GONE = "gone"
    """The vendor does not know the run anymore."""
    PROGRESS = "progress"
    """Shown to people, and never read."""
    STEP_CANCELS = "step_cancels"
    """A step whose Dagster run was terminated, or timed out, is about to ask the vendor to cancel the run."""
    STEP_KEEPS = "step_keeps"
    """The step that was about to cancel the run does not: a newer attempt has attached to it."""
    CANCEL_REQUESTED = "cancel_requested"
    """A person wants the deferred run canceled: its end is neither reported as a failure nor retried."""
    ENDED = "ended"
    """The run failed or was canceled. The end of a successful run is the materialization itself."""

    @classmethod
    def _missing_(cls, value: object) -> "EntryKind | None":
        return cls.CANCEL_REQUESTED if value == "cancelling" else None  # as earlier versions wrote it


class EntryTooLarge(ValueError):
    """An entry does not fit into the tags of an event."""


_TYPES: Mapping[str, tuple[type, ...]] = {
    "at": (int, float),
    "correlation_id": (str,),
    "dagster_run_id": (str,),
    "target": (str,),
    "name": (str,),
    "partition": (str, NoneType),
    "run_id": (str, NoneType),
    "deadline": (int, float, NoneType),
    "fields_digest": (str, NoneType),
    "deferred_payload": (dict, NoneType),
    "provenance": (dict, NoneType),
    "step_key": (str, NoneType),
    "host": (str, NoneType),
    "execution_id": (str, NoneType),
}
"""The types of an entry's fields, without which it is not read."""
_EARLIER_NAMES: Mapping[str, str] = {
    "kind": "entry",
    "fields_digest": "fields",
    "deferred_payload": "handed_over",
    "step_key": "step",
    "execution_id": "execution",
}
"""The names that earlier versions gave to fields, in the metadata of the observation."""


@dataclass(frozen=True)
class LedgerEntry:
    """One entry of the ledger.

    Attributes:
        kind: What happened.
        at: Epoch seconds, by the clock of the machine that wrote the entry.
        correlation_id: The start attempt's.
        dagster_run_id: The Dagster run that wrote the entry.
        target: Class and target of the run at that time.
        name: Tells several remote runs in one step apart.
        partition: The partition, ``first...last`` for a range.
        run_id: The vendor's id of the run, from ``started`` on.
        deadline: Epoch seconds at which waiting ends.
        fields_digest: Digest of the run's fields, where a different one means that the definition was changed.
        deferred_payload: What the completion sensor needs to finish the run; ``None`` where the step waits for it.
        provenance: What the assets would have been made from before the start, as `Provenance.as_json` has it.
        step_key: Dagster's key of the step. ``None`` in entries of earlier versions, which count for any step.
        host: The clock that ``at`` is by, as `Clock.host` names it; ``None`` in entries of earlier versions.
        execution_id: The execution of the step that wrote the entry; ``None`` in entries of earlier versions.
        description: What happened, for people. Not read back.
        metadata: What people want to see of the run. Not read back.
    """

    kind: EntryKind
    at: float
    correlation_id: str
    dagster_run_id: str
    target: str
    name: str
    partition: str | None = None
    run_id: str | None = None
    deadline: float | None = None
    fields_digest: str | None = None
    deferred_payload: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    step_key: str | None = None
    host: str | None = None
    execution_id: str | None = None
    description: str = field(default="", compare=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def run_class_name(self) -> str:
        """The name of the run's class."""
        return self.target.partition(" ")[0]

    def is_of(self, target: str, fields_digest: str | None) -> bool:
        """Whether it is about a run of this target, and with these fields where both are known."""
        return self.target == target and (
            fields_digest == self.fields_digest or None in (fields_digest, self.fields_digest)
        )

    def to_tags(self) -> dict[str, str]:
        """The tags of the event.

        Raises:
            EntryTooLarge: They would be more than `MAX_PIECES`.
        """
        return pack({name: getattr(self, name) for name in ("kind", *_TYPES) if getattr(self, name) is not None})

    @classmethod
    def from_event(cls, event: dg.EventLogRecord) -> "LedgerEntry | None":
        """The entry that an event has, if it has one that this version can read."""
        observation = event.event_log_entry.asset_observation
        return None if observation is None else cls.from_observation(observation)

    @classmethod
    def from_observation(cls, observation: dg.AssetObservation) -> "LedgerEntry | None":
        """The same, of the observation in the event."""
        in_tags = unpack(observation.tags or {})
        if in_tags is not None:
            return cls._read(in_tags)
        in_metadata = observation.metadata.get(LEDGER_KEY)
        if isinstance(in_metadata, dg.JsonMetadataValue) and isinstance(in_metadata.value, dict):
            names = {name: _EARLIER_NAMES.get(name, name) for name in ("kind", *_TYPES)}
            return cls._read({name: in_metadata.value.get(earlier) for name, earlier in names.items()})
        return None

    @classmethod
    def _read(cls, stored: Mapping[str, Any]) -> "LedgerEntry | None":
        if not all(isinstance(stored.get(name), types) for name, types in _TYPES.items()):
            return None  # written by a later version of this package, or not by us
        try:
            kind = EntryKind(stored.get("kind"))
        except ValueError:
            return None  # likewise
        known = {one.name for one in fields(cls)} - {"kind"}
        return cls(kind, **{name: value for name, value in stored.items() if name in known})


def pack(stored: Mapping[str, Any]) -> dict[str, str]:
    """What is stored of an entry, as tags.

    Raises:
        EntryTooLarge: They would be more than `MAX_PIECES`.
    """
    packed = zlib.compress(json.dumps(stored, separators=(",", ":")).encode(), 9)
    text = urlsafe_b64encode(packed).decode().rstrip("=")
    pieces = [text[begin : begin + _PIECE] for begin in range(0, len(text), _PIECE)]
    if len(pieces) > MAX_PIECES:
        raise EntryTooLarge(f"it needs {len(pieces)} tags, and {MAX_PIECES} are the limit")
    return {f"{LEDGER_KEY}_{number}": piece for number, piece in enumerate(pieces)}


def unpack(tags: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What `pack` has packed; empty if it is damaged, and ``None`` if there is nothing."""
    pieces: list[str] = []
    while (piece := tags.get(f"{LEDGER_KEY}_{len(pieces)}")) is not None:
        pieces.append(piece)
    text = "".join(pieces)
    if not text:
        return None
    try:
        stored = json.loads(zlib.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (ValueError, Base64Error, zlib.error, RecursionError):
        return {}  # damaged: no entry, whatever its metadata says
    return stored if isinstance(stored, dict) else {}
