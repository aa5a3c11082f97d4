"""The survey's command line: what every service has, and the processes and commands of its analysts.

What a command needs is imported when it runs: a serving process never loads the analysis stack.
"""

from typing import TYPE_CHECKING

from chassis.commands import read

from survey.main import service

if TYPE_CHECKING:
    pass

command = service.command()


@command.command()
def sink() -> None:
    """Keeps the table of released submissions, the same events as on their topic, until told to stop."""
    from survey.sink import process
    from survey.sink.settings import SinkSettings

    settings: SinkSettings = read(SinkSettings, "survey-sink")
    process.run(settings)
