"""Pages: what notebooks call, plots, the explorer, the web book, and opening the course elsewhere.

They show what the other rooms compute. No other room may depend on a page.
"""
