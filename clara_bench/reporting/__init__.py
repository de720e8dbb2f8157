"""From records to scores, leaderboards, comparisons and single questions.

In: folders of runs. Out: tables as text, Markdown, LaTeX, CSV or JSON.
"""
