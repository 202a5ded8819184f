package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

// The requests errors are classified by: the same code means different things
// in different requests.
const (
	OpConnect = "Connect"
	OpInit    = "InitProducerId"
	OpBegin   = "Begin"
	OpProduce = "Produce"
	OpOffsets = "TxnOffsetCommit"
	OpGroup   = "OffsetFetch"
	OpEnd     = "EndTxn"
	OpFetch   = "Fetch"
	OpList    = "ListOffsets"
	OpAdmin   = "Admin"
)

// The codes of ours, beside the broker's.
const (
	CodeUnreachable   = "UNREACHABLE"
	CodeCancelled     = "CANCELLED"
	CodeClosed        = "CLIENT_CLOSED"
	CodeConnection    = "CONNECTION"
	CodeTLS           = "TLS"
	CodeUnknown       = "UNKNOWN"
	CodeDataLoss      = "DATA_LOSS"
	CodeCorrupt       = "CORRUPT_BATCH"
	CodeNoTransaction = "NO_TRANSACTION"
	CodeRecreated     = "TOPIC_RECREATED"
	CodeUnstable      = "LSO_BEHIND"
	CodeUnsupported   = "UNSUPPORTED_BROKER"
	CodeBuffered      = "RECORDS_BUFFERED"
)

const (
	exitFailed = 1 // a failure that restarting did not cure
	exitRefuse = 5 // rights, limits, unreachable
	exitState  = 6 // lost or recreated data, fenced

	// rightsGrace is how long missing rights are waited for.
	rightsGrace = 30 * time.Second
)

// Classify turns any error of a request into the one form the rest of the
// program knows. topic is the topic, group or transactional id the request was
// about. Nil stays nil, an error that is classified already stays as it is.
//
// Restart is the answer to everything not listed: an unknown outcome has one
// cure, which is to fence and to read what is committed.
func Classify(op, topic string, err error) *record.KafkaError {
	if err == nil {
		return nil
	}
	if ke, ok := errors.AsType[*record.KafkaError](err); ok {
		return ke
	}
	e := &record.KafkaError{
		Class: record.ClassRestart, Exit: exitFailed, Code: CodeUnknown,
		Op: op, Topic: topic, Partition: -1, Offset: -1, Detail: err.Error(), Cause: err,
	}
	if lost, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		e.Partition, e.Offset = lost.Partition, record.Offset(lost.ConsumedTo)
		refuse(e, exitState, CodeDataLoss, err.Error())
		return e
	}
	if code, ok := errors.AsType[*kerr.Error](err); ok {
		classifyCode(e, code)
		return e
	}
	classifyLocal(e)
	return e
}

// classifyLocal sorts errors that no broker sent: of the network, of contexts,
// and of the client itself.
func classifyLocal(e *record.KafkaError) {
	err := e.Cause
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, badHost := errors.AsType[x509.HostnameError](err)
	_, network := errors.AsType[net.Error](err)
	_, firstEOF := errors.AsType[*kgo.ErrFirstReadEOF](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Code = CodeCancelled
	case errors.Is(err, kgo.ErrClientClosed):
		e.Code = CodeClosed
	case badCert, badHost:
		refuse(e, exitRefuse, CodeTLS, err.Error())
	case isGateError(err):
		e.Class, e.Code = record.ClassBug, CodeNoTransaction
	case network, firstEOF, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), kgo.IsRetryableBrokerErr(err):
		e.Code = CodeConnection
	case e.Op == OpFetch:
		// What is left of a fetch is a batch that cannot be read: wrong CRC,
		// failed decompression, impossible counts.
		refuse(e, exitRefuse, CodeCorrupt, err.Error())
	}
}

// isGateError recognises a produce outside of a transaction and a begin inside
// of one (G23, G7). The client has no exported value for either.
func isGateError(err error) bool {
	text := err.Error()
	return strings.Contains(text, "not in a transaction") || strings.Contains(text, "already in a transaction")
}

// classifyCode is the tables 7.2 and 7.3 of the protocol.
func classifyCode(e *record.KafkaError, code *kerr.Error) {
	e.Code, e.Detail = code.Message, code.Description
	if _, detail, ok := strings.Cut(e.Cause.Error(), code.Error()+": "); ok {
		e.Detail = detail
	}
	switch code {
	case kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping:
		e.Class, e.Exit = record.ClassFenced, exitState
	case kerr.InvalidTxnState:
		// At EndTxn a time-out abort answers the same, and other versions
		// answer otherwise, so that it is never used as information.
		if e.Op != OpEnd {
			e.Class, e.Exit = record.ClassFenced, exitState
		}
	case kerr.TransactionAbortable:
		if errors.Is(e.Cause, kerr.UnknownTopicID) {
			e.Code, e.Detail = CodeRecreated, e.Cause.Error()
		}
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTimestamp:
		e.SameRecord = true
	case kerr.OffsetOutOfRange:
		refuse(e, exitState, e.Code, e.Detail)
	case kerr.CorruptMessage:
		// A produced batch that arrives damaged is sent again by the client;
		// a stored one stays damaged.
		if e.Op == OpFetch {
			refuse(e, exitRefuse, CodeCorrupt, e.Detail)
		}
	case kerr.UnknownMemberID:
		if e.Op == OpOffsets {
			refuse(e, exitRefuse, e.Code, "group "+e.Topic+" is in use by consumers")
		}
	case kerr.InvalidRecord, kerr.PolicyViolation, kerr.UnsupportedCompressionType, kerr.UnsupportedForMessageFormat,
		kerr.InvalidTransactionTimeout, kerr.UnsupportedVersion, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.IllegalSaslState, kerr.TopicAlreadyExists, kerr.InvalidReplicationFactor, kerr.InvalidPartitions, kerr.InvalidConfig,
		kerr.InvalidTopicException, kerr.InvalidRequest, kerr.SecurityDisabled:
		refuse(e, exitRefuse, e.Code, e.Detail)
	default:
		classifyRights(e, code)
	}
}

// classifyRights names the right that is missing.
func classifyRights(e *record.KafkaError, code *kerr.Error) {
	switch code {
	case kerr.TransactionalIDAuthorizationFailed:
		refuse(e, exitRefuse, e.Code, "needs TransactionalId "+e.Topic+" Write")
	case kerr.GroupAuthorizationFailed:
		refuse(e, exitRefuse, e.Code, "needs Group "+e.Topic+" Read")
	case kerr.ClusterAuthorizationFailed:
		refuse(e, exitRefuse, e.Code, "needs a right on the cluster: "+e.Detail)
	case kerr.TopicAuthorizationFailed:
		right := map[string]string{OpProduce: "Write", OpFetch: "Read", OpOffsets: "Read", OpList: "Describe"}[e.Op]
		if right == "" {
			right = "Describe and Create"
		}
		refuse(e, exitRefuse, e.Code, "needs Topic "+e.Topic+" "+right)
		if e.Op == OpProduce || e.Op == OpFetch {
			e.Grace = rightsGrace
		}
	}
}

func refuse(e *record.KafkaError, exit int, code, detail string) {
	e.Class, e.Exit, e.Code, e.Detail = record.ClassRefuse, exit, code, detail
}

// asError keeps a nil *record.KafkaError from becoming a non-nil error.
func asError(e *record.KafkaError) error {
	if e == nil {
		return nil
	}
	return e
}
