"""Settings of the live plug-ins: environment variables, or one TOML file; the same on every rank."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from equipoise.errors import InputError, check_choice, check_count, check_share, setting, unquoted
from equipoise.forecasting.forecast import AUTO, Method
from equipoise.formats import read_cost
from equipoise.formats.files.refusals import naming
from equipoise.placement import Across, Locality
from equipoise.planning.effort import Effort
from equipoise.planning.request import PlannedRouting, checked_locality
from equipoise.router.rules import FLOOR
from equipoise.units import moves_of, share_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "EQUIPOISE_"
FILE = "EQUIPOISE_SETTINGS"
CACHE = "EQUIPOISE_CACHE_DIR"
# Kubernetes sets these in every container where a Service is called equipoise, or equipoise-something.
OF_A_SERVICE = re.compile(
    r"EQUIPOISE(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_[A-Z]+(_PROTO|_PORT|_ADDR)?)?)"
)
TRUTHS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """How a live plug-in plans.

    Attributes
    ----------
    max_moves : int, float or None
        Moves of a re-plan at most: a number for all layers together, or as a float the share of all slots; None for
        as many as pay.
    min_gain : float
        Share by which the mean PAR must fall for anything to move that need not.
    locality : "strict", "soft", "none" or None
        Whether experts stay on their group's node; None for strict, or soft where ``off_node`` is given.
    off_node : float or None
        Share of the load that may be served off its group's home node.
    routing : "even" or "filled"
        Whether the engine's own rule shares an expert's picks over its replicas, or our router fills; plans are made
        for that.
    floor : int
        Picks, of all GPUs together, up to which the router does not split an expert.
    forecast : str
        What stands for the traffic to come; see :func:`equipoise.forecasting.forecast.forecast`.
    effort : "fast", "default" or "thorough"
        How long to search.
    min_replicas, across : int, "gpus" or "nodes"
        On how many of these every expert is to be.
    log_json : bool
        Whether the log says a plan as one JSON object instead of words; ranks may differ in that alone.

    Raises
    ------
    InputError
        If settings are no such shares and names, or contradict each other.

    Examples
    --------
    >>> Settings(max_moves=0.05).limits
    {'max_moves': 0.05, 'min_gain': 0.0}
    """

    max_moves: float | None = None
    min_gain: float = 0.0
    locality: Locality | None = None
    off_node: float | None = None
    routing: PlannedRouting = "even"
    floor: int = FLOOR
    forecast: Method = AUTO
    effort: Effort = "default"
    min_replicas: int = 1
    across: Across = "gpus"
    log_json: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        check_share(setting("min_gain"), self.min_gain)
        check_choice(setting("forecast"), self.forecast, get_args(Method))
        check_choice(setting("routing"), self.routing, get_args(PlannedRouting))
        check_choice(setting("effort"), self.effort, get_args(Effort))
        check_count(setting("min_replicas"), self.min_replicas)
        check_choice(setting("across"), self.across, get_args(Across))
        checked_locality(self.locality, self.off_node, groups=2)

    @property
    def limits(self) -> dict[str, Any]:
        """What holds when a placement is live, as arguments of ``plan()``."""
        return {"max_moves": self.max_moves, "min_gain": self.min_gain}

    @cached_property
    def digest(self) -> str:
        """Eight characters that differ where the settings or the version of Equipoise differ."""
        return sha256(f"{version('equipoise')} {self}".encode()).hexdigest()[:8]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that ``EQUIPOISE_*`` variables name, or the TOML file that ``EQUIPOISE_SETTINGS`` names.

    Parameters
    ----------
    environment : mapping of str to str
        Such as ``os.environ``; other variables are passed over, and so are the one that names the folder of compiled
        loops and those that Kubernetes sets for a Service.

    Raises
    ------
    InputError
        If a name is unknown or a value cannot be used, there are both a file and variables, or the file cannot be read.

    Examples
    --------
    >>> read_settings({"EQUIPOISE_MAX_MOVES": "5%", "EQUIPOISE_MIN_GAIN": "1%"}).limits
    {'max_moves': 0.05, 'min_gain': 0.01}
    >>> read_settings({"EQUIPOISE_MAX_MOVE": "5%"})
    Traceback (most recent call last):
    equipoise.errors.InputError: EQUIPOISE_MAX_MOVE is no setting; did you mean EQUIPOISE_MAX_MOVES?
    """
    variables = {name: text for name, text in environment.items() if name.startswith(PREFIX) and _may_be_setting(name)}
    path = variables.pop(FILE, None)
    if path is None:
        return _settings({_setting_of(name): text for name, text in variables.items()}, _variable_of)
    if variables:
        raise InputError(f"{FILE} names a file but {min(variables)} is set too; expected one or the other")
    with naming(Path(path)):
        return _settings(_read_toml(Path(path)), str)


def _may_be_setting(variable: str) -> bool:
    return variable != CACHE and not OF_A_SERVICE.fullmatch(variable)


def _variable_of(setting: str) -> str:
    return PREFIX + setting.upper()


def _setting_of(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # TOML's and UTF-8's errors
        raise InputError(f"not TOML: {error}") from None


def _settings(values: Mapping[str, Any], named: Callable[[str], str]) -> Settings:
    """Return the settings with these values, refused by the names that they were given."""
    for name in values:
        if name not in MEANING:
            raise InputError(f"{named(name)} is no setting; {_instead_of(name, named)}")
    try:
        return Settings(**{name: _meant(name, str(value), named) for name, value in values.items()})
    except InputError as error:
        raise InputError(
            error.said(lambda name, value: named(name) + (f"={unquoted(value)}" if value else ""))
        ) from None


def _meant(name: str, text: str, named: Callable[[str], str]) -> Any:
    try:
        return MEANING[name](text)
    except InputError as error:
        raise InputError(f"{named(name)}: {error}") from None


def _instead_of(name: str, named: Callable[[str], str]) -> str:
    """Return a question for the nearest setting, or all of them where none is near."""
    near = get_close_matches(name, MEANING, n=1)
    return f"did you mean {named(near[0])}?" if near else f"expected {', '.join(map(named, MEANING))}"


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def chosen(text: str) -> str:
        check_choice("it", text, choices)
        return text

    return chosen


def _count_of(text: str) -> int:
    return check_count("it", int(text) if text.isdecimal() else text)


def _truth_of(text: str) -> bool:
    check_choice("it", text.lower(), TRUTHS)
    return TRUTHS[text.lower()]


def _floor_of(text: str) -> int:
    """Return a number of picks, or what a file of a cost says."""
    if text.isdecimal():
        return int(text)
    if not Path(text).suffix:
        raise InputError(f"{text!r} is neither a number of picks nor a cost file; expected such as 256 or cost.json")
    floor = read_cost(text).floor
    if floor is None:
        raise InputError(f"by the cost in {text} it never pays to split an expert; leave the routing even")
    return floor - 1


MEANING: dict[str, Callable[[str], Any]] = {
    "max_moves": moves_of,
    "min_gain": share_of,
    "locality": _one_of(get_args(Locality)),
    "off_node": share_of,
    "routing": _one_of(get_args(PlannedRouting)),
    "floor": _floor_of,
    "forecast": _one_of(get_args(Method)),
    "effort": _one_of(get_args(Effort)),
    "min_replicas": _count_of,
    "across": _one_of(get_args(Across)),
    "log_json": _truth_of,
}
