"""What puts Penstock onto machines; the code here makes the files that are rendered."""
