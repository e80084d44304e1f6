"""The black-box rig: private servers, hand-made clients and components, and Rapport as a subprocess.

It is an independent observer: nothing here imports from component/, stanzas/ or config/.
"""
