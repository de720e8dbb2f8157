"""Runs as a page to look at: one HTML file without a server, pictures for papers, and a page that follows a run.

collect -> model -> page, plots, server      runs are read once; all else is drawn from the model
"""
