"""What differs for all machines of the lab: the desk takes its known hosts from the lab."""

ssh_connect_retries = 2
