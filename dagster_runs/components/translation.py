"""The field ``translation``: what all assets of a component have in common, with templates for each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import create_model

from dagster_runs.components.asset_fields import describing_fields, key_field
from dagster_runs.components.run_entry import RunEntry, key_from, spec_arguments
from dagster_runs.components.templates import errors_located, has_template, located, resolved
from dagster_runs.components.yaml_model import Fields, YamlModel, field_of

_fields: Fields = {
    **key_field(is_required=False),
    "key_prefix": field_of(
        str, description="A prefix for the keys of all assets, with slashes between its parts.", example="crm"
    ),
    **describing_fields(),
}
TranslationModel: type[YamlModel] = create_model("Translation", __base__=YamlModel, **_fields)  # type: ignore[call-overload]

_MERGED = ("tags", "metadata")


@dataclass(frozen=True)
class Translation:
    """What all assets of a component have in common.

    Attributes:
        given: The fields that YAML sets. Their templates are resolved for each asset.
        context: The context at the path of the translation.
    """

    given: Mapping[str, Any]
    context: dg.ResolutionContext

    def spec_of(self, entry: RunEntry) -> dg.AssetSpec:
        """Returns the asset's spec. What the asset's own item sets takes precedence; tags and metadata are merged.

        Raises:
            DagsterInvalidDefinitionError: A value is invalid. The message names the line.
        """
        context = self.context.with_scope(props=dict(entry.props))
        values: dict[str, Any] = resolved(context, dict(self.given))
        key, prefix = values.pop("key", None), values.pop("key_prefix", None)
        with errors_located(context):
            common = {**entry.defaults, **_merged(entry.defaults, spec_arguments(values))}
        own = {**common, **_merged(common, entry.description_of_asset)}
        deps = [*entry.defaults.get("deps", ()), *entry.description_of_asset.get("deps", ())]
        run_class = type(entry.run)
        own["kinds"] = {*common.get("kinds", ()), *own.get("kinds", ()), *run_class.asset_kinds}
        if deps:
            own["deps"] = list(dict.fromkeys(deps))
        spec_key = self._key(entry, key, prefix, context)
        with errors_located(entry.context):
            return dg.AssetSpec(spec_key, **own)

    def _key(self, entry: RunEntry, key: Any, prefix: Any, context: dg.ResolutionContext) -> dg.AssetKey:
        found = entry.key or (entry.default_key if key is None else key_from(context.at_path("key"), key))
        parts = [] if prefix is None else list(key_from(context.at_path("key_prefix"), prefix).path)
        return dg.AssetKey([*parts, *found.path])

    def check(self) -> None:
        """Checks the values that need no asset.

        Raises:
            DagsterInvalidDefinitionError: A value is invalid. The message names the line.
        """
        for name, value in self.given.items():
            if name in ("key", "key_prefix") or has_template(value):
                continue
            with errors_located(self.context.at_path(name)):
                spec_arguments({name: value})
        if "key" in self.given and not has_template(self.given["key"]):
            raise located(
                self.context.at_path("key"),
                "all assets would have this key; use a template, such as quality/{{ props.name }}, or key_prefix",
            )


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: {**first.get(name, {}), **second[name]} for name in _MERGED if name in second}
    return {**second, **both}
