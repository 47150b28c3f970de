"""What libraries say on their own."""

import logging
import sys
import warnings


def quiet() -> None:
    """Keep what libraries log and warn of from the terminal: what matters is raised, and nobody has redacted the rest."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
