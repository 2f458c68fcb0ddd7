"""Why did it fault: the exception, the walk and what speaks for each reason."""
