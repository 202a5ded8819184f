package runtime

import (
	"errors"
	"fmt"
	"time"

	"kstream/checkpoint"
	"kstream/record"
)

// failure turns an error into what the machine decides on.
func (j *Job) failure(err error) *checkpoint.Failure {
	var known *checkpoint.Failure
	if errors.As(err, &known) {
		return known
	}
	var bad *record.Error
	if errors.As(err, &bad) {
		return &checkpoint.Failure{
			Text: bad.Error(), Same: fmt.Sprintf("%s/%s/%d/%d/%s", bad.Node, bad.Topic, bad.Partition, bad.Offset, bad.Code),
			Hint: "set on_error at " + bad.Node + ": skip, dead_letter or {output: …} say what becomes of such records",
		}
	}
	var k *record.KafkaError
	if errors.As(err, &k) {
		return j.kafkaFailure(k)
	}
	return &checkpoint.Failure{Text: err.Error()}
}

// kafkaFailure maps the class of the Kafka package. A possible fence is a
// restart, since every restart begins with the ownership check.
func (j *Job) kafkaFailure(k *record.KafkaError) *checkpoint.Failure {
	f := &checkpoint.Failure{Fenced: k.Class == record.ClassFenced, Text: k.Error(), Exit: k.Exit}
	switch k.Class {
	case record.ClassRefuse:
		f.Class = checkpoint.ClassRefuse
	case record.ClassBug:
		f.Class = checkpoint.ClassBug
	}
	if f.Class == checkpoint.ClassRefuse && k.Grace > 0 && !j.persists(k) {
		f.Class = checkpoint.ClassRestart
	}
	if k.Op == "Connect" && k.Code == "UNREACHABLE" {
		f.Text = k.Detail
		f.Hint = "is it running? kafka.brokers, KSTREAM_BROKERS or --brokers say where it is; --embedded needs none"
	}
	if k.Op == "Connect" && k.Code == "UNREACHABLE" && j.mine != nil {
		// We were there before: the cluster is down, not the address wrong. Only
		// the coordinator connects, so that mine may be read here.
		f.Class = checkpoint.ClassRestart
	}
	if k.SameRecord {
		f.Same = fmt.Sprintf("%s/%s/%d", k.Code, k.Topic, k.Partition)
		f.Hint = "raise max.message.bytes of " + k.Topic + " and producer.batch_size, or write smaller records"
		if k.Code == "INVALID_TIMESTAMP" {
			f.Hint = "raise message.timestamp.after.max.ms of " + k.Topic + ", or mend the time of the records"
		}
	}
	if k.Op == "Fetch" && k.Exit == 6 {
		f.Hint = "to start the source at its `start` again: --reset " + j.sourceOf(k.Topic)
	}
	return f
}

// persists reports whether an error that may pass has been there for its grace:
// rights, for example, take a while to reach every broker.
func (j *Job) persists(k *record.KafkaError) bool {
	j.graceMu.Lock()
	defer j.graceMu.Unlock()
	id := k.Op + "/" + k.Topic + "/" + k.Code
	first, ok := j.grace[id]
	if !ok {
		j.grace[id] = time.Now()
		return false
	}
	return time.Since(first) >= k.Grace
}

// forgive forgets the errors that passed; an epoch was committed.
func (j *Job) forgive() {
	j.graceMu.Lock()
	defer j.graceMu.Unlock()
	clear(j.grace)
}

func (j *Job) sourceOf(topic string) string {
	for _, s := range j.plan.Sources {
		for _, t := range s.Spec.Topics {
			if t == topic {
				return s.Spec.UID
			}
		}
	}
	return "UID"
}
