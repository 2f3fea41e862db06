"""What a lab needs of the machine: asked, said, and put right where it can be."""
