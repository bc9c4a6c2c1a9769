"""Answers the question for a folder of images within a time limit."""
