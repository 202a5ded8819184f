// Package savepoint keeps a committed epoch as a directory of files that needs
// neither the broker nor the local store to be read, checked or restored.
//
//	manifest.json        written last: what the other files are, with sizes and SHA-256
//	checkpoint.json      positions, watermarks, fingerprints, uid -> store id
//	pipeline.yaml        the file as written, literal secrets masked
//	resolved.yaml        the same with defaults and flags, secrets masked
//	state/kg-0000-0015.part ...
//	                     the entries of a range of key groups, in order
//
// # A part
//
// A part begins with the four bytes "kstp" and the format, one byte. Frames
// follow; a frame is
//
//	kind        1  0 as it is, 1 zstd
//	stored      4  bytes that follow, little endian
//	crc         4  CRC-32C of them
//	bytes       stored
//
// and holds whole entries: length of the key (uvarint), key, length of the value
// (uvarint), value. Keys are addresses as in the local store (store id, key
// group, namespace, key), values are what is stored there. Within a part entries
// are in order of their keys and no key comes twice. A frame is compressed only
// if that makes it smaller by a factor below 100, so that a reader can refuse
// one that expands further without refusing what was written honestly.
//
// Whoever reads a savepoint may have got it from somebody else: nothing is
// allocated by what a file says of itself, no name leads out of the directory,
// links and devices are refused, and everything is checked before anything is
// used.
package savepoint
