// Package fusemount makes, finds and ends FUSE mounts by what the kernel's tables and control files tell, and never touches one:
// a mount whose server is gone may hang whoever does. Start reading at Prepare and Mount.
package fusemount
