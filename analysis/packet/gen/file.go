package main

import (
	"bufio"
	"encoding/binary"
	"os"
)

// pcapFile is a pcap file with nanoseconds, link type Ethernet, that is being written.
type pcapFile struct {
	file *os.File
	w    *bufio.Writer
	snap int // bytes of a packet that are kept; 0: all
}

func createPcap(path string, snap int) (*pcapFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	p := &pcapFile{f, bufio.NewWriterSize(f, 1<<20), snap}
	var h [24]byte
	binary.LittleEndian.PutUint32(h[:], 0xa1b23c4d)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], 262144)
	binary.LittleEndian.PutUint32(h[20:], 1)
	_, err = p.w.Write(h[:])
	return p, err
}

func (p *pcapFile) add(nanos int64, frame []byte) error {
	var h [16]byte
	binary.LittleEndian.PutUint32(h[:], uint32(nanos/1e9))
	binary.LittleEndian.PutUint32(h[4:], uint32(nanos%1e9))
	binary.LittleEndian.PutUint32(h[12:], uint32(len(frame)))
	if p.snap > 0 && len(frame) > p.snap {
		frame = frame[:p.snap]
	}
	binary.LittleEndian.PutUint32(h[8:], uint32(len(frame)))
	if _, err := p.w.Write(h[:]); err != nil {
		return err
	}
	_, err := p.w.Write(frame)
	return err
}

func (p *pcapFile) close() error {
	err := p.w.Flush()
	if e := p.file.Close(); err == nil {
		err = e
	}
	return err
}
