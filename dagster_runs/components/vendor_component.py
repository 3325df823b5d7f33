"""The base class of the vendors' components."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel, create_model
from typing_extensions import Self

from dagster_runs.components.built_assets import BuiltAssets
from dagster_runs.components.component_files import file_in, repeated_fields
from dagster_runs.components.entry_specs import Places, specs_of
from dagster_runs.components.resource_keys import claim_resource_key, default_resource_key
from dagster_runs.components.run_entry import RunEntry, entry_model, resolve_entry
from dagster_runs.components.sensors import SensorOptions, Sensors, is_on
from dagster_runs.components.templates import errors_located, located, resolved
from dagster_runs.components.translation import Translation, TranslationModel
from dagster_runs.components.yaml_model import Fields, YamlModel, field_of, fields_of
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.observation.observed_asset import ObservedAsset
from dagster_runs.table_checks.builder import TableChecks
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.url import check_base_url

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Built:
    """The definitions of entries, before the sensors are built.

    Attributes:
        executable: The assets that Dagster materializes, with their entries.
        observed: The assets that only the vendor materializes.
        suites: The suites whose results are checks of their tables, with their entries.
        shown: The assets of suites whose tables are not known yet.
    """

    executable: list[tuple[RunEntry, dg.AssetsDefinition]] = field(default_factory=list)
    observed: list[ObservedAsset] = field(default_factory=list)
    suites: list[tuple[RunEntry, TableChecks]] = field(default_factory=list)
    shown: list[dg.AssetSpec] = field(default_factory=list)

    @property
    def started_here(self) -> list[tuple[RunEntry, dg.AssetsDefinition | TableChecks]]:
        """All runs that Dagster starts."""
        return [*self.executable, *self.suites]


class VendorComponent(dg.Component):
    """Assets for remote runs at one vendor, the vendor's resource, and the sensors that the assets need.

    Attributes:
        resource_class: The resource, whose fields are those of ``workspace``.
        run_lists: The names of the lists of runs, with the kinds of runs.
    """

    resource_class: ClassVar[type[RemoteRunResource]]
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]]

    def __init__(self, given: Mapping[str, Any], context: dg.ResolutionContext, *, default_resource_key: str) -> None:
        """Resolves what YAML sets.

        Args:
            given: The attributes that YAML sets.
            context: The context at the path of the attributes.
            default_resource_key: The resource's key if YAML does not set one.
        """
        self.context = context
        self.resource_key = self._resource_key(given.get("resource_key"), default_resource_key)
        self.resource = self._resource(given["workspace"])
        self.translation = Translation(given.get("translation", {}), context.at_path("translation"))
        self.translation.check()
        self.sensors = Sensors(
            self.resource_key,
            *(self._resolved_or_none(given, name) for name in ("completion_sensor", "observation_sensor")),
        )
        self.entries = [
            resolve_entry(run_class, item, context.at_path(name).at_path(index), name)
            for name, run_class in self.run_lists.items()
            for index, item in enumerate(given.get(name, ()))
        ]

    @classmethod
    def component_fields(cls) -> Fields:
        """Returns the fields of ``attributes``."""
        return {
            "workspace": field_of(_workspace_model(cls.resource_class), description=_WORKSPACE, is_required=True),
            **{
                name: field_of(list[entry_model(run_class)], description=_summary(run_class))  # type: ignore[misc]
                for name, run_class in cls.run_lists.items()
            },
            "translation": field_of(TranslationModel, description=_TRANSLATION),
            "completion_sensor": field_of(SensorOptions, description=_COMPLETION),
            **({"observation_sensor": field_of(SensorOptions, description=_OBSERVATION)} if cls._observable() else {}),
            "resource_key": field_of(str, description=_RESOURCE_KEY, example="crm_eu"),
        }

    @classmethod
    def _observable(cls) -> list[type[RemoteRun[Any]]]:
        return [run_class for run_class in cls.run_lists.values() if run_class.recognizes_listed_runs()]

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Returns the model of ``attributes``, which `dg check yaml` uses."""
        return _component_model(cls)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Creates the component from YAML.

        Raises:
            DagsterInvalidDefinitionError: The YAML is invalid. The message names the line.
        """
        resolution = context.resolution_context.at_path("attributes")
        if not isinstance(attributes, YamlModel):
            raise located(resolution, "attributes is missing; it needs at least `workspace`")
        _warn_about_repeated_fields(context)
        key = default_resource_key(_vendor_key(cls), _vendor_base(cls), context)
        component = cls(attributes.given, resolution, default_resource_key=key)
        claim_resource_key(component.resource_key, resolution, context)
        return component

    def _resource_key(self, given: str | None, default: str) -> str:
        context = self.context.at_path("resource_key")
        key = default if given is None else str(resolved(context, given))
        if not key.isidentifier():
            raise located(context, f"{key!r} cannot be a resource key; use letters, digits and underscores")
        return key

    def _resource(self, given: Mapping[str, Any]) -> RemoteRunResource:
        context = self.context.at_path("workspace")
        # The names of variables instead of their values, so that Dagster never shows or stores a value.
        values = resolved(context, dict(given), variable=dg.EnvVar)
        with errors_located(context):
            resource = self.resource_class(**values)
        url, plain_http = values.get("base_url"), values.get("allow_plain_http") is True
        if isinstance(url, str) and not isinstance(url, dg.EnvVar):
            try:
                check_base_url(url, vendor=resource.vendor, allow_plain_http=plain_http)
            except InvalidRequestError as error:
                raise located(context.at_path("base_url"), str(error)) from None
        return resource

    def _resolved_or_none(self, given: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
        return None if name not in given else resolved(self.context.at_path(name), given[name])

    def get_asset_spec(self, spec: dg.AssetSpec, props: Mapping[str, Any]) -> dg.AssetSpec:
        """Returns the spec of an asset. Override it in a subclass to change what ``translation`` cannot.

        Args:
            spec: The spec from YAML.
            props: The run's fields, and ``kind``, the name of its list.

        Example:
            .. code-block:: python

                class OurTestGen(dagster_runs.TestGenComponent):
                    def get_asset_spec(self, spec, props):
                        return super().get_asset_spec(spec, props).replace_attributes(owners=["team:data"])
        """
        return spec

    def spec_of(self, entry: RunEntry) -> dg.AssetSpec:
        """Returns the spec of an entry's asset.

        Raises:
            DagsterInvalidDefinitionError: A value is invalid. The message names the line.
        """
        return self.get_asset_spec(self.translation.spec_of(entry), entry.props)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Builds the assets, the resource, the sensors and the cancel job."""
        return self.definitions_of(self.entries)

    def definitions_of(self, entries: Sequence[RunEntry]) -> dg.Definitions:
        """Returns the definitions for entries.

        Raises:
            DagsterInvalidDefinitionError: Two entries have one key, or an option is invalid. The message names the
                line.
        """
        built = self._build(entries)
        assets = [asset for _, asset in built.executable]
        deferred = [one for entry, one in built.started_here if entry.options.get("wait") == "defer"]
        with errors_located(self.context.at_path("completion_sensor")):
            completion = self.sensors.of_deferred(deferred)
        with errors_located(self.context.at_path("observation_sensor")):
            observation = self._observation(built)
        own = dg.Definitions(
            assets=[*assets, *(one.spec for one in built.observed), *built.shown],
            asset_checks=[one.build_checks() for one in built.observed],
            resources={self.resource_key: self.resource},
        )
        suites = [checks.definitions() for _, checks in built.suites]
        return dg.Definitions.merge(own, *suites, completion, observation)

    def _build(self, entries: Sequence[RunEntry]) -> _Built:
        built = _Built()
        # An asset belongs to one completion sensor, so one with another name needs other assets.
        assets = BuiltAssets((type(self), self.resource_key, (self.sensors.completion or {}).get("name")))
        for entry, spec in Places().unique(specs_of(entries, self.spec_of)):
            with errors_located(entry.context):
                if "checks" in entry.options:
                    self._add_checks(built, entry, spec)
                elif entry.observe_only:
                    built.observed.append(self._observed(entry, spec))
                else:
                    asset = assets.build(entry.run, spec, resource_key=self.resource_key, options=entry.options)
                    built.executable.append((entry, asset))
        assets.keep()
        return built

    def _add_checks(self, built: _Built, entry: RunEntry, spec: dg.AssetSpec) -> None:
        checks = self.checks_of(entry, spec)
        if checks is None:
            built.shown.append(spec)
        else:
            built.suites.append((entry, checks))

    def checks_of(self, entry: RunEntry, spec: dg.AssetSpec) -> TableChecks | None:
        """Returns the checks on the tables of an entry with ``checks``; ``None`` if its tables are not known yet.

        Args:
            entry: The entry.
            spec: The asset that shows its runs.
        """
        raise NotImplementedError

    def _observed(self, entry: RunEntry, spec: dg.AssetSpec) -> ObservedAsset:
        problem = entry.run.observation_problem()
        if problem is not None:
            raise ValueError(f"observe_only is impossible: {problem}")
        target = {"dagster_runs/vendor": entry.run.vendor, "dagster_runs/target": entry.run.target}
        own = spec.replace_attributes(metadata={**target, **spec.metadata})
        return ObservedAsset(own, entry.run, entry.options.get("gate"), self.resource_key)

    def _observation(self, built: _Built) -> dg.Definitions:
        problems = [entry.run.observation_problem() for entry, _ in built.started_here]
        to_observe: list[dg.AssetsDefinition | ObservedAsset | TableChecks] = [
            one
            for (_, one), problem in zip(built.started_here, problems, strict=True)
            if problem is None and (isinstance(one, TableChecks) or one.partitions_def is None)
        ]
        to_observe += built.observed
        if not to_observe and is_on(self.sensors.observation, default=False):
            reasons = [*dict.fromkeys(filter(None, problems))]
            if built.started_here and len(reasons) < len(built.started_here):
                reasons.append("runs of partitioned assets cannot be matched to partitions")
            if reasons:
                raise ValueError(f"no asset can be observed: {'; '.join(reasons)}")
        if not is_on(self.sensors.observation, default=False):
            to_observe = [*built.observed]  # these cannot be reported in another way
        return self.sensors.of_observed(to_observe, default=bool(built.observed))


def _vendor_key(component: type[VendorComponent]) -> str:
    return next(iter(component.run_lists.values())).resource_key


def _warn_about_repeated_fields(context: dg.ComponentLoadContext) -> None:
    path = context.component_path
    file, document = file_in(path.file_path), path.instance_key
    if file is None:
        return
    for name, line in repeated_fields(file, document if isinstance(document, int) else 0):
        _logger.warning(
            "%s:%d: the field %s is here twice, and the one above has no effect. Delete it, or merge the two.",
            *(file, line, name),
        )


def _vendor_base(component: type[VendorComponent]) -> type[VendorComponent]:
    """Returns the component of the vendor, for a subclass of it."""
    classes = (one for one in reversed(component.__mro__) if issubclass(one, VendorComponent))
    return next((one for one in classes if one is not VendorComponent), component)


def _summary(run_class: type[RemoteRun[Any]]) -> str:
    return (run_class.__doc__ or "").strip().splitlines()[0]


@cache
def _workspace_model(resource_class: type[RemoteRunResource]) -> type[YamlModel]:
    name = resource_class.__name__.removesuffix("Resource")
    found = fields_of(resource_class)
    for secret in resource_class.secret_fields:
        type_, field = found[secret]
        example = f"{{{{ env.{resource_class.vendor.upper()}_{secret.upper()} }}}}"
        found[secret] = field_of(type_, description=field.description, is_required=field.is_required(), example=example)
    # What every resource has comes last.
    fields = dict(sorted(found.items(), key=lambda item: item[0] in RemoteRunResource.model_fields))
    model: type[YamlModel] = create_model(f"{name}Workspace", __base__=YamlModel, **fields)  # type: ignore[call-overload]
    return model


@cache
def _component_model(component: type[VendorComponent]) -> type[YamlModel]:
    kinds = "s and ".join(dict.fromkeys(run_class.label for run_class in component.run_lists.values()))
    vendor = component.resource_class.vendor

    class Attributes(YamlModel):
        unavailable: ClassVar[Mapping[str, str]] = {"observation_sensor": f"{vendor} offers no way to list {kinds}s"}

    model: type[YamlModel] = create_model(  # type: ignore[call-overload]
        component.__name__, __base__=Attributes, **component.component_fields()
    )
    return model


_WORKSPACE = "The connection to the vendor. Write secrets as `{{ env.NAME }}`."
_TRANSLATION = (
    "What all assets have in common. What an asset sets takes precedence; tags and metadata are merged. Templates can "
    "use `props`, the fields of the run: `{{ props.kind }}`."
)
_COMPLETION = (
    "The sensor that reports the outcomes of runs with `wait: defer`. If there are such runs, it is built unless this "
    "is `false`."
)
_OBSERVATION = "The sensor that reports runs that were started elsewhere, such as by the vendor's own schedule."
_RESOURCE_KEY = (
    "The key of the resource, and the beginning of the names of the sensors and of the cancel job. By default the "
    "vendor's name, and for each further component of the vendor also the path of its folder."
)
