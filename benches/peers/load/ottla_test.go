package main

import (
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestABatchIsReadByKafkasOwnProtocol(t *testing.T) {
	sent := payloads(7)
	encoded := recordBatch(nil, sent)
	batch := kmsg.NewRecordBatch()
	if err := batch.ReadFrom(encoded); err != nil {
		t.Fatal(err)
	}
	if batch.Magic != 2 || int(batch.NumRecords) != len(sent) || int(batch.LastOffsetDelta) != len(sent)-1 {
		t.Fatalf("%+v", batch)
	}
	if uint32(batch.CRC) != crc32.Checksum(encoded[21:], castagnoli) {
		t.Error("the checksum is not that of the bytes")
	}
	rest := batch.Records
	for at, value := range sent {
		record := kmsg.NewRecord()
		if err := record.ReadFrom(rest); err != nil {
			t.Fatal(err)
		}
		if string(record.Value) != string(value) || int(record.OffsetDelta) != at || record.Key != nil {
			t.Errorf("record %d: %+v", at, record)
		}
		rest = rest[len(record.AppendTo(nil)):]
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes are left", len(rest))
	}
}
