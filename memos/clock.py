"""The clock on the wall, in one time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from memos.errors import SettingsError


class SystemClock:
    """The machine's clock; where no zone is named, in the machine's own."""

    def __init__(self, timezone: str | None = None) -> None:
        """Raises `SettingsError` for a name that is no IANA time zone."""
        try:
            self._zone = ZoneInfo(timezone) if timezone else None
        except (ZoneInfoNotFoundError, ValueError):
            raise SettingsError(f"timezone {timezone!r} is no IANA time zone, such as Europe/Rome.") from None

    def now(self) -> datetime:
        return datetime.now(self._zone) if self._zone else datetime.now().astimezone()

    def at(self, moment: datetime) -> datetime:
        """A naive moment in this zone: its own offset, not today's."""
        return moment.replace(tzinfo=self._zone) if self._zone else moment.astimezone()
