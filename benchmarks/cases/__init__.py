"""One module for each group of rows in the table of budgets."""
