"""Who exists, and how to reach them. What they run is in group_data/; how it comes there, in deploys/.

A second GPU machine is one more line under `apex`: it becomes one more local lane of every gateway.
"""

apex = [("apex", {"ssh_user": "owner"})]
g16 = [("g16", {"ssh_user": "owner"})]

windows = ["apex"]
linux = ["g16"]
