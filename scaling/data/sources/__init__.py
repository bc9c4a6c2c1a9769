"""Where pictures come from: published sets, a folder, drawings. Each becomes a catalogue. Free of torch."""
