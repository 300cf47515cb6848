"""gunicorn's logger, whose form and place the service's own messages share."""

import logging
from typing import Any

from gunicorn import glogging

from service.logs import formatter

OURS = "service"


class Logger(glogging.Logger):
    """Writes where gunicorn's settings say, in the form that `logs.py` was told."""

    def setup(self, cfg: Any) -> None:
        """Set our formatter; called again when gunicorn reads its settings again."""
        super().setup(cfg)
        ours = logging.getLogger(OURS)
        ours.handlers = list(self.error_log.handlers)
        ours.propagate = False
        for handler in ours.handlers:
            handler.setFormatter(formatter(self.error_fmt, self.datefmt))
