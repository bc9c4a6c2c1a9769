"""Which of the pictures a run trains on, validates with and tests on."""
