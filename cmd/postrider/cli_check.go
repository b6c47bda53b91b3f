package main

type checkCmd struct {
	Deep    bool `help:"Read every message, and compare it with its checksums and with what is stored of its structure."`
	Repair  bool `help:"Mend what can be derived from the rest, and set aside what cannot."`
	Rebuild bool `help:"Make a lost or damaged database anew: what of it can be read, and the rest out of the packs. No server may run. Implies --repair."`
}
