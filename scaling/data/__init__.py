"""From a data config to one run's images on its device. The way in is `splits`; before the first run, `prepare`."""
