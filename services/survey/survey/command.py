"""The survey's command line: what every service has, and the processes and commands of its analysts.

What a command needs is imported when it runs: a serving process never loads the analysis stack.
"""

from survey.main import service

command = service.command()
