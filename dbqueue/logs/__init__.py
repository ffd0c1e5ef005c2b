"""The log lines of jobs whose tasks ask for it, kept beside the record of each job."""
