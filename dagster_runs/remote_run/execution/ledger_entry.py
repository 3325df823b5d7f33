"""One entry of the ledger: what was done at the vendor, stored as an observation in Dagster's event log.

An entry has two parts. The description and the metadata are for users. The rest is for this package, and is stored in
the event's tags: Dagster's UI shows the metadata of an observation on the asset's page, but not its tags. A tag's value
has at most 63 characters of a small alphabet, so the JSON is compressed, encoded and split into numbered tags.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun

LEDGER_KEY = "dagster_runs/ledger"
"""Metadata key of the entries of earlier versions, and prefix of the tag keys."""
_PIECE = 63
"""The maximum length of a tag's value in Dagster."""
MAX_PIECES = 200
"""The maximum number of tags of one entry. Dagster accepts more, but each is a row in its database."""


class EntryKind(str, Enum):
    """The kind of a ledger entry: what happened."""

    STARTING = "starting"
    """The start request is about to be sent."""
    STARTED = "started"
    """The vendor returned an id, or a later attempt has attached to the run."""
    NOT_STARTED = "not_started"
    """The start was definitely refused, or never sent. No run was started."""
    ABANDONED = "abandoned"
    """It is unknown whether the start created a run, and the user wants another run anyway."""
    GONE = "gone"
    """The vendor no longer knows the run."""
    PROGRESS = "progress"
    """Shown to users, and never read back."""
    STEP_CANCELS = "step_cancels"
    """A step whose Dagster run was terminated, or whose run timed out, is about to ask the vendor to cancel the run."""
    STEP_KEEPS = "step_keeps"
    """The step that was about to cancel the run does not cancel it, because a newer attempt has attached to it."""
    CANCEL_REQUESTED = "cancel_requested"
    """A user wants the deferred run canceled. Its outcome is not reported as a failure, and it is not retried."""
    ENDED = "ended"
    """The run failed or was canceled. The outcome of a successful run is the materialization itself."""
    QUEUED = "queued"
    """Nothing was started yet. The completion sensor admits the request when its turn comes."""
    ADMITTED = "admitted"
    """The completion sensor has admitted queued requests."""

    @classmethod
    def _missing_(cls, value: object) -> "EntryKind | None":
        return cls.CANCEL_REQUESTED if value == "cancelling" else None  # as written by earlier versions


class EntryTooLarge(ValueError):
    """An entry does not fit in the tags of an event."""


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
    "queue": (dict, NoneType),
}
"""The types of an entry's fields. An entry with other types is ignored."""
_EARLIER_NAMES: Mapping[str, str] = {
    "kind": "entry",
    "fields_digest": "fields",
    "deferred_payload": "handed_over",
    "step_key": "step",
    "execution_id": "execution",
}
"""The names of the fields in earlier versions, which stored them in the metadata of the observation."""


def recorded_target(run: "RemoteRun[Any]") -> str:
    """Returns the class and the target of a run, as entries have them."""
    return f"{type(run).__name__} {run.target}"


@dataclass(frozen=True)
class LedgerEntry:
    """One entry of the ledger.

    Attributes:
        kind: What happened.
        at: Epoch seconds, by the clock of the machine that wrote the entry.
        correlation_id: The correlation id of the start attempt.
        dagster_run_id: The Dagster run that wrote the entry.
        target: The class and the target of the run at that time.
        name: Distinguishes several remote runs in one step.
        partition: The partition, ``first...last`` for a range.
        run_id: The vendor's id of the run, from ``started`` on.
        deadline: Epoch seconds of the deadline.
        fields_digest: The digest of the run's fields; ``None`` if the fields may differ from attempt to attempt.
        deferred_payload: The data that the completion sensor needs to poll the run; ``None`` if the step waits for it.
        provenance: The provenance of the assets just before the start, in the form of `Provenance.as_json`.
        step_key: Dagster's key of the step; ``None`` in entries of earlier versions, which count for any step.
        host: The clock of ``at``, as returned by `Clock.host`; ``None`` in entries of earlier versions.
        execution_id: The execution of the step that wrote the entry; ``None`` in entries of earlier versions.
        queue: What the entry says about the queue; see `request_queue`.
        description: What happened, for users. Not read back.
        metadata: The metadata of the run, for users. Not read back.
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
    queue: Mapping[str, Any] | None = None
    description: str = field(default="", compare=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def run_class_name(self) -> str:
        """The name of the run's class."""
        return self.target.partition(" ")[0]

    def is_of(self, target: str, fields_digest: str | None) -> bool:
        """Whether the entry is about a run of this target and, if both digests are known, with these fields."""
        return self.target == target and (
            fields_digest == self.fields_digest or None in (fields_digest, self.fields_digest)
        )

    def to_tags(self) -> dict[str, str]:
        """Returns the tags of the event.

        Raises:
            EntryTooLarge: More than `MAX_PIECES` tags would be needed.
        """
        return pack({name: getattr(self, name) for name in ("kind", *_TYPES) if getattr(self, name) is not None})

    @classmethod
    def from_event(cls, event: dg.EventLogRecord) -> "LedgerEntry | None":
        """Returns the entry in an event; ``None`` if there is none that this version can read."""
        observation = event.event_log_entry.asset_observation
        return None if observation is None else cls.from_observation(observation)

    @classmethod
    def from_observation(cls, observation: dg.AssetObservation) -> "LedgerEntry | None":
        """Returns the entry in an observation; ``None`` if there is none that this version can read."""
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
            return None  # written by a later version of this package, or not by this package
        try:
            kind = EntryKind(stored.get("kind"))
        except ValueError:
            return None  # written by a later version too
        if not _is_payload(stored.get("deferred_payload")):
            return None
        known = {one.name for one in fields(cls)} - {"kind"}
        return cls(kind, **{name: value for name, value in stored.items() if name in known})


def _is_payload(payload: Mapping[str, Any] | None) -> bool:
    """Whether a payload has the shape that this version reads."""
    if payload is None:
        return True
    assets, partitions = payload.get("assets", []), payload.get("partitions") or []
    if isinstance(partitions, dict) and set(partitions) == {"first", "last"}:
        partitions = list(partitions.values())
    return (
        isinstance(assets, list)
        and all(_is_list_of_texts(path) for path in assets)
        and _is_list_of_texts(partitions)
        and isinstance(payload.get("run", {}), dict)
    )


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def pack(stored: Mapping[str, Any]) -> dict[str, str]:
    """Packs the stored fields of an entry into tags.

    Raises:
        EntryTooLarge: More than `MAX_PIECES` tags would be needed.
    """
    packed = zlib.compress(json.dumps(stored, separators=(",", ":")).encode(), 9)
    text = urlsafe_b64encode(packed).decode().rstrip("=")
    pieces = [text[begin : begin + _PIECE] for begin in range(0, len(text), _PIECE)]
    if len(pieces) > MAX_PIECES:
        raise EntryTooLarge(f"it needs {len(pieces)} tags, but the limit is {MAX_PIECES}")
    return {f"{LEDGER_KEY}_{number}": piece for number, piece in enumerate(pieces)}


def unpack(tags: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Unpacks the result of `pack`; empty if it is damaged, ``None`` if there is nothing to unpack."""
    pieces: list[str] = []
    while (piece := tags.get(f"{LEDGER_KEY}_{len(pieces)}")) is not None:
        pieces.append(piece)
    text = "".join(pieces)
    if not text:
        return None
    try:
        stored = json.loads(zlib.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (ValueError, Base64Error, zlib.error, RecursionError):
        return {}  # damaged: the observation has no entry, even if its metadata has one
    return stored if isinstance(stored, dict) else {}
