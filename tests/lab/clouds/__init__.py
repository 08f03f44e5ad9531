"""The cloud lanes and Slack, played for the lab: their wire formats, on fixed ports, with faults on demand.

`python -m clouds` serves every lane on 0.0.0.0 (cerebras 9001 ... slack 9006) and a control door on 9900:

    POST   /lane/cerebras {"mode": "stalled"}      also slow {"seconds": 5}, rate-limited {"retry_after": 20} ...
    GET    /lanes                                  every lane's port and mode
    GET    /log?lane=cerebras                      what arrived, oldest first; keys as fingerprints, never whole
    DELETE /log        POST /reset        GET /health

Standard library only: the lab copies this one directory into a bare container.
"""
