"""The arguments of the factories: checks that they fit together, and clear errors if they do not."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckError, is_success_hook
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike, coerced_key
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.wording import with_article

RunOrFunction = RemoteRun[Any] | Callable[[dg.AssetExecutionContext], RemoteRun[Any]]


def check_list(argument: str, value: Any, of: str) -> None:
    """Checks that an argument is a list.

    Raises:
        DagsterInvalidDefinitionError: It is not.
    """
    # A string is iterable too, and would become a list of characters. Keys, specs and hooks are named tuples.
    single = (str, dg.AssetKey, dg.AssetSpec, dg.HookDefinition)
    if value is not None and (isinstance(value, single) or not isinstance(value, Iterable)):
        raise dg.DagsterInvalidDefinitionError(f"{argument} is {value!r}; it must be a list, with {of} as each item")


def checked_name(name: Any) -> str | None:
    """Returns the name of an op; ``None`` for the default.

    Raises:
        DagsterInvalidDefinitionError: An op cannot have this name.
    """
    if name is not None and not (isinstance(name, str) and name.isascii() and name.replace("_", "a").isalnum()):
        raise dg.DagsterInvalidDefinitionError(
            f"name is {name!r}; the name of an op can have only letters, digits and underscores"
        )
    return name


def check_mapping(argument: str, value: Any) -> None:
    """Checks that an argument is a dict with texts as keys.

    Raises:
        DagsterInvalidDefinitionError: It is not.
    """
    if value is not None and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        raise dg.DagsterInvalidDefinitionError(f"{argument} is {value!r}; it must be a dict with strings as keys")


def checked_hooks(hooks: Any, options: RunOptions) -> set[dg.HookDefinition] | None:
    """Returns the hooks of a step; ``None`` if there are none.

    Raises:
        DagsterInvalidDefinitionError: One is not a hook, or it would fire when a deferred run has only been started.
    """
    if hooks is None:
        return None
    check_list("hooks", hooks, "a hook (`@dg.failure_hook`)")
    found = list(hooks)
    for hook in found:
        if not isinstance(hook, dg.HookDefinition):
            raise dg.DagsterInvalidDefinitionError(
                f"hooks contains {hook!r}; each must be a hook, which `@dg.failure_hook` or `@dg.success_hook` makes"
            )
        if options.is_deferred and is_success_hook(hook):
            raise dg.DagsterInvalidDefinitionError(
                f"hooks contains the success hook {hook.name}, which with wait='defer' would fire when the run has "
                "been started, not when it has succeeded. Pass a job to build_completion_sensor(..., job=...), which "
                "is requested when a run has finished; or use wait='poll'"
            )
    return set(found) or None


def clear_multi_asset(
    *, specs: Sequence[dg.AssetSpec], **arguments: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Like `dagster.multi_asset`, but an error names the asset, and what to do.

    Args:
        specs: The specs of the assets.
        **arguments: The other arguments of `dagster.multi_asset`.

    Raises:
        DagsterInvalidDefinitionError: Dagster refuses the definition.
    """
    names = ", ".join(spec.key.to_user_string() for spec in specs)

    def decorate(step: Callable[..., Any]) -> dg.AssetsDefinition:
        try:
            return dg.multi_asset(specs=specs, **arguments)(step)
        except CheckError as error:
            raise dg.DagsterInvalidDefinitionError(f"The asset {names} is invalid: {error}") from None
        except dg.DagsterInvalidDefinitionError as error:
            if not any(str(error).startswith(f'"{spec.key.to_python_identifier()}" is not') for spec in specs):
                raise
            is_reserved = "reserved" in str(error)
            advice = (
                "Put a part before it, for example with key_prefix" if is_reserved else "It can also have '-' and '.'"
            )
            raise dg.DagsterInvalidDefinitionError(f"The key {names} is invalid: {error} {advice}") from None

    return decorate


def asset_specs(
    run: RunOrFunction,
    run_class: type[RemoteRun[Any]],
    key: AssetKeyLike | None,
    specs: Sequence[dg.AssetSpec] | None,
    described: Mapping[str, Any],
) -> list[dg.AssetSpec]:
    """Returns the specs of the assets of a run.

    Args:
        run: The run, or the function that returns it.
        run_class: The kind of run.
        key: The asset's key, if there is only one asset.
        specs: The specs of the assets otherwise.
        described: The arguments that describe the only asset.

    Raises:
        DagsterInvalidDefinitionError: The arguments are invalid or do not fit together.
    """
    if (key is None) == (specs is None):
        raise dg.DagsterInvalidDefinitionError(
            "Pass either key, or specs for a run that materializes several assets, but not both"
        )
    if specs is not None:
        check_list("specs", specs, "a dagster.AssetSpec")
    if specs is not None and (described or not specs):
        raise dg.DagsterInvalidDefinitionError(_of_specs(described) if described else "specs is empty")
    own = [_spec(key, dict(described))] if key is not None else list(specs or ())
    invalid = [spec for spec in own if not isinstance(spec, dg.AssetSpec)]
    if invalid:
        raise dg.DagsterInvalidDefinitionError(f"specs contains {invalid[0]!r}; each must be a dagster.AssetSpec")
    duplicates = [key.to_user_string() for key, times in Counter(spec.key for spec in own).items() if times > 1]
    if duplicates:
        raise dg.DagsterInvalidDefinitionError(f"specs contains {', '.join(duplicates)} more than once")
    target = {"dagster_runs/target": run.target} if isinstance(run, RemoteRun) else {}
    return [
        spec.replace_attributes(
            kinds=_all_kinds(spec, run_class),
            metadata={"dagster_runs/vendor": run_class.vendor, **target, **spec.metadata},
            description=spec.description or _description(run, run_class),
        )
        for spec in own
    ]


def _of_specs(described: Mapping[str, Any]) -> str:
    own = [name for name in described if name != "key_prefix"]
    advice = [f"set {', '.join(own)} on the specs"] if own else []
    advice += ["write key_prefix in the keys of the specs"] if "key_prefix" in described else []
    return f"With specs, {', and '.join(advice)}"


def _spec(key: AssetKeyLike, described: dict[str, Any]) -> dg.AssetSpec:
    prefix = described.pop("key_prefix", None)
    full = coerced_key("key", key)
    if prefix is not None and prefix != []:  # as for `@dg.asset`
        full = full.with_prefix(coerced_key("key_prefix", [prefix] if isinstance(prefix, str) else prefix).path)
    if "kinds" in described:
        check_list("kinds", described["kinds"], "a string")
        described["kinds"] = set(described["kinds"])
    try:
        return dg.AssetSpec(full, **described)
    except CheckError as error:
        # Dagster's message is about the spec, which the user has not written.
        raise dg.DagsterInvalidDefinitionError(f"The asset {full.to_user_string()} is invalid: {error}") from None


def _all_kinds(spec: dg.AssetSpec, run_class: type[RemoteRun[Any]]) -> set[str]:
    kinds = {*spec.kinds, *run_class.asset_kinds}
    if len(kinds) > _MAX_KINDS:
        raise dg.DagsterInvalidDefinitionError(
            f"{spec.key.to_user_string()} would have the kinds {', '.join(sorted(kinds))}, but Dagster allows "
            f"{_MAX_KINDS}. {run_class.__name__} adds {', '.join(sorted(run_class.asset_kinds))}, so pass at most "
            f"{_MAX_KINDS - len(run_class.asset_kinds)} others"
        )
    return kinds


_MAX_KINDS = 3


def _description(run: RunOrFunction, run_class: type[RemoteRun[Any]]) -> str:
    of = f" of {run.target}" if isinstance(run, RemoteRun) else ""
    return f"Materialized by {with_article(run_class.vendor)} {run_class.label}{of}."
