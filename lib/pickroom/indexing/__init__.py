"""Start and rescan a project, and embed its images in one resumable pass, locally or with Ray."""
