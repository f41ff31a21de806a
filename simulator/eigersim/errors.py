"""The one error the simulator shows to its user."""


class SimulatorError(Exception):
    """What was asked for cannot be done; `cli.main` prints it and exits with 2.

    The message names what is wrong, where, and the cure.
    """
