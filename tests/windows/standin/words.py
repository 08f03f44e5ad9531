"""What Windows' programs say, in two languages. Sources per sentence: recorded unless marked `assumed`."""

from __future__ import annotations

GERMAN = {
    # netsh (recorded)
    "Ok.": "OK.",
    "No rules match the specified criteria.": "Keine Regeln stimmen mit den angegebenen Kriterien überein.",
    "Deleted {0} rule(s).": "{0} Regel(n) gelöscht.",
    "Updated {0} rule(s).": "{0} Regel(n) aktualisiert.",  # assumed
    "The requested operation requires elevation (Run as administrator).": (
        "Der angeforderte Vorgang erfordert erhöhte Rechte (Als Administrator ausführen)."  # assumed
    ),
    # schtasks (recorded: the XML sentences; the others assumed)
    "SUCCESS: ": "ERFOLGREICH: ",
    "ERROR: ": "FEHLER: ",
    "WARNING: ": "WARNUNG: ",
    "INFO: ": "INFORMATION: ",
    "The task XML contains an unexpected node.": "Die Aufgaben-XML enthält einen unerwarteten Knoten.",
    "The task XML contains a value which is incorrectly formatted or out of range.": (
        "Die Aufgaben-XML enthält einen Wert, der entweder falsch formatiert ist oder sich außerhalb des Bereichs "
        "befindet."
    ),
    "The task XML is missing a required element or attribute.": (
        "Der Aufgaben-XML fehlt ein erforderliches Element oder Attribut."  # assumed
    ),
    "The task XML is malformed.": "Die Aufgaben-XML ist falsch formatiert.",  # assumed
    "No mapping between account names and security IDs was done.": (
        "Zuordnungen von Kontennamen und Sicherheitskennungen wurden nicht durchgeführt."
    ),
    "Access is denied.": "Zugriff verweigert",
    "The system cannot find the file specified.": "Das System kann die angegebene Datei nicht finden.",
    'The specified task name "{0}" does not exist in the system.': (
        'Der angegebene Aufgabenname "{0}" ist im System nicht vorhanden.'  # assumed
    ),
    "The task is disabled.": "Die Aufgabe ist deaktiviert.",  # assumed
    'The scheduled task "{0}" has successfully been created.': (
        'Der geplante Task "{0}" wurde erfolgreich erstellt.'  # assumed
    ),
    'Attempted to run the scheduled task "{0}".': 'Es wurde versucht, den Task "{0}" auszuführen.',  # assumed
    'The scheduled task "{0}" has been terminated successfully.': (
        'Der geplante Task "{0}" wurde erfolgreich beendet.'  # assumed
    ),
    'The scheduled task "{0}" was successfully deleted.': 'Der geplante Task "{0}" wurde erfolgreich gelöscht.',
    'The parameters of scheduled task "{0}" have been changed.': (
        'Die Parameter des geplanten Tasks "{0}" wurden geändert.'  # assumed
    ),
    'The task name "{0}" already exists. Do you want to replace it (Y/N)?': (
        'Der Aufgabenname "{0}" ist bereits vorhanden. Möchten Sie ihn ersetzen (J/N)?'  # assumed
    ),
    "Please enter the run as password for {0}:": "Geben Sie das Kennwort für {0} ein:",  # assumed
    "Ready": "Bereit",
    "Running": "Wird ausgeführt",
    "Disabled": "Deaktiviert",
    "N/A": "Nicht zutreffend",
    # sc (recorded)
    "SUCCESS": "ERFOLG",
    "FAILED": "FEHLER",
    "The specified service does not exist as an installed service.": (
        "Der angegebene Dienst ist kein installierter Dienst."
    ),
    "An instance of the service is already running.": "Es wird bereits eine Instanz des Dienstes ausgeführt.",
    "The service has not been started.": "Der Dienst wurde nicht gestartet.",
    "The service cannot be started because it is disabled.": (
        "Der Dienst kann nicht gestartet werden, da er deaktiviert ist."  # assumed
    ),
    "The specified service has been marked for deletion.": (
        "Der angegebene Dienst wurde zum Löschen markiert."  # assumed
    ),
    "The specified service already exists.": "Der angegebene Dienst ist bereits vorhanden.",  # assumed
    # reg (recorded)
    "The system was unable to find the specified registry key or value.": (
        "Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden."
    ),
    "The operation completed successfully.": "Der Vorgang wurde erfolgreich beendet.",
    # netstat, tasklist, taskkill (recorded)
    "Active Connections": "Aktive Verbindungen",
    "LISTENING": "ABHÖREN",
    "ESTABLISHED": "HERGESTELLT",
    "TIME_WAIT": "WARTEND",
    "No tasks are running which match the specified criteria.": (
        "Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt."  # assumed
    ),
    "The process with PID {0} has been terminated.": "Der Prozess mit PID {0} wurde beendet.",
    "The process with PID {0} (child process of PID {1}) has been terminated.": (
        "Der Prozess mit PID {0} (untergeordneter Prozess von PID {1}) wurde beendet."
    ),
    'The process "{0}" not found.': 'Der Prozess "{0}" wurde nicht gefunden.',
    "The process with PID {0} could not be terminated.": (
        "Der Prozess mit PID {0} konnte nicht beendet werden."  # assumed
    ),
    "Reason: ": "Ursache: ",
    # icacls (recorded)
    "Successfully processed {0} files; Failed processing {1} files": (
        "{0} Dateien erfolgreich verarbeitet, bei {1} Dateien ist ein Verarbeitungsfehler aufgetreten."
    ),
    "processed file: {0}": "Bearbeitete Datei: {0}",
    # certutil (recorded)
    "SHA256 hash of {0}:": "SHA256-Hash von {0}:",
    "CertUtil: -hashfile command completed successfully.": "CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.",
    # powercfg (assumed wording; that it is translated is recorded)
    "Power Scheme GUID": "GUID des Energieschemas",
    "Subgroup GUID": "GUID der Untergruppe",
    "Power Setting GUID": "GUID der Energieeinstellung",
    "Current AC Power Setting Index": "Index der aktuellen Wechselstromeinstellung",
    "Current DC Power Setting Index": "Index der aktuellen Gleichstromeinstellung",
    # cmd.exe (the first two recorded, the others assumed)
    "The command line is too long.": "Die Befehlszeile ist zu lang.",
    "'{0}' is not recognized as an internal or external command,\r\noperable program or batch file.": (
        'Der Befehl "{0}" ist entweder falsch geschrieben oder\r\nkonnte nicht gefunden werden.'
    ),
    "The system cannot find the path specified.": "Das System kann den angegebenen Pfad nicht finden.",  # recorded
    "A subdirectory or file {0} already exists.": (
        'Ein Unterverzeichnis oder eine Datei mit dem Namen "{0}" existiert bereits.'
    ),
    "File Not Found": "Datei nicht gefunden",
    # setx, dism, wsl
    "The data being saved is truncated to 1024 characters.": (
        "Die zu speichernden Daten wurden auf 1024 Zeichen gekürzt."  # assumed
    ),
    "Specified value was saved.": "Angegebener Wert wurde gespeichert.",
    "Error: 740": "Fehler: 740",
    "Default Version: 2": "Standardversion: 2",
}

GROUPS_IN_GERMAN = {
    "S-1-5-32-544": ("VORDEFINIERT", "Administratoren"),
    "S-1-5-32-545": ("VORDEFINIERT", "Benutzer"),
    "S-1-5-11": ("NT-AUTORITÄT", "Authentifizierte Benutzer"),
    "S-1-5-18": ("NT-AUTORITÄT", "SYSTEM"),
    "S-1-5-19": ("NT-AUTORITÄT", "Lokaler Dienst"),
    "S-1-5-20": ("NT-AUTORITÄT", "Netzwerkdienst"),
    "S-1-1-0": ("", "Jeder"),
}


def said(language: str, sentence: str, *values: object) -> str:
    """A sentence in the machine's language, its values filled in."""
    return (GERMAN.get(sentence, sentence) if language == "de" else sentence).format(*values)
