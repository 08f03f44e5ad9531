"""What Windows prints, for tests of both who read it: the agent and verify. R: recorded in public, A: assumed."""

# R (the labels, several public tests and logs), A (the last two)
QUERYEX_IN_SPANISH = """\

NOMBRE_SERVICIO: sshd
        TIPO               : 10  WIN32_OWN_PROCESS
        ESTADO             : 4  RUNNING
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        CÓDIGO_SALIDA_WIN32 : 0  (0x0)
        CÓDIGO_SALIDA_SERVICIO : 0  (0x0)
        PUNTO_COMPROBACIÓN  : 0x0
        INDICACIÓN_INICIO   : 0x0
        PID                : 3204
        MARCAS             :
"""
