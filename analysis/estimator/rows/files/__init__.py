"""Files of any form, each as a table of what stands in it."""
