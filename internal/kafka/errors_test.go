package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

const (
	restart = record.ClassRestart
	fence   = record.ClassFenced
	refused = record.ClassRefuse
	bug     = record.ClassBug
)

// TestClassify is tables 7.2 and 7.3: the same code in different requests.
func TestClassify(t *testing.T) {
	recreated := fmt.Errorf("produced to t: %w, %w", kerr.TransactionAbortable, kerr.UnknownTopicID)
	tests := []struct {
		op    string
		err   error
		class record.ErrorClass
		exit  int
		code  string
	}{
		// 7.2, EndTxn.
		{OpEnd, kerr.NotCoordinator, restart, 1, "NOT_COORDINATOR"},
		{OpEnd, kerr.CoordinatorLoadInProgress, restart, 1, "COORDINATOR_LOAD_IN_PROGRESS"},
		{OpEnd, kerr.CoordinatorNotAvailable, restart, 1, "COORDINATOR_NOT_AVAILABLE"},
		{OpEnd, kerr.ConcurrentTransactions, restart, 1, "CONCURRENT_TRANSACTIONS"},
		{OpEnd, kerr.OperationNotAttempted, restart, 1, "OPERATION_NOT_ATTEMPTED"},
		{OpEnd, kerr.TransactionAbortable, restart, 1, "TRANSACTION_ABORTABLE"},
		{OpEnd, kerr.InvalidTxnState, restart, 1, "INVALID_TXN_STATE"},
		{OpEnd, kerr.ProducerFenced, fence, 6, "PRODUCER_FENCED"},
		{OpEnd, kerr.InvalidProducerEpoch, fence, 6, "INVALID_PRODUCER_EPOCH"},
		{OpEnd, kerr.InvalidProducerIDMapping, fence, 6, "INVALID_PRODUCER_ID_MAPPING"},
		{OpEnd, kerr.UnknownServerError, restart, 1, "UNKNOWN_SERVER_ERROR"},
		{OpEnd, kerr.RequestTimedOut, restart, 1, "REQUEST_TIMED_OUT"},
		{OpEnd, context.DeadlineExceeded, restart, 1, CodeCancelled},
		{OpEnd, &net.OpError{Op: "read", Err: io.EOF}, restart, 1, CodeConnection},
		{OpEnd, io.ErrUnexpectedEOF, restart, 1, CodeConnection},
		{OpEnd, kgo.ErrClientClosed, restart, 1, CodeClosed},
		{OpEnd, recreated, restart, 1, CodeRecreated},
		{OpEnd, errors.New("never heard of"), restart, 1, CodeUnknown},
		{OpEnd, kerr.TransactionalIDAuthorizationFailed, refused, 5, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"},
		// 7.3, InitProducerId.
		{OpInit, kerr.ConcurrentTransactions, restart, 1, "CONCURRENT_TRANSACTIONS"},
		{OpInit, kerr.InvalidTransactionTimeout, refused, 5, "INVALID_TRANSACTION_TIMEOUT"},
		{OpInit, kerr.TransactionalIDAuthorizationFailed, refused, 5, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"},
		{OpInit, kerr.ClusterAuthorizationFailed, refused, 5, "CLUSTER_AUTHORIZATION_FAILED"},
		// 7.3, produce promise.
		{OpProduce, kerr.NotLeaderForPartition, restart, 1, "NOT_LEADER_FOR_PARTITION"},
		{OpProduce, kerr.NotEnoughReplicasAfterAppend, restart, 1, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
		{OpProduce, kerr.InvalidProducerEpoch, fence, 6, "INVALID_PRODUCER_EPOCH"},
		{OpProduce, kerr.ProducerFenced, fence, 6, "PRODUCER_FENCED"},
		{OpProduce, kerr.InvalidTxnState, fence, 6, "INVALID_TXN_STATE"},
		{OpProduce, kerr.OutOfOrderSequenceNumber, restart, 1, "OUT_OF_ORDER_SEQUENCE_NUMBER"},
		{OpProduce, kerr.UnknownProducerID, restart, 1, "UNKNOWN_PRODUCER_ID"},
		{OpProduce, kerr.TransactionAbortable, restart, 1, "TRANSACTION_ABORTABLE"},
		{OpProduce, kerr.MessageTooLarge, restart, 1, "MESSAGE_TOO_LARGE"},
		{OpProduce, kerr.RecordListTooLarge, restart, 1, "RECORD_LIST_TOO_LARGE"},
		{OpProduce, kerr.InvalidTimestamp, restart, 1, "INVALID_TIMESTAMP"},
		{OpProduce, kerr.InvalidRecord, refused, 5, "INVALID_RECORD"},
		{OpProduce, kerr.TopicAuthorizationFailed, refused, 5, "TOPIC_AUTHORIZATION_FAILED"},
		{OpProduce, kerr.UnknownTopicOrPartition, restart, 1, "UNKNOWN_TOPIC_OR_PARTITION"},
		{OpProduce, kerr.UnknownTopicID, restart, 1, "UNKNOWN_TOPIC_ID"},
		{OpProduce, kerr.PolicyViolation, refused, 5, "POLICY_VIOLATION"},
		{OpProduce, kerr.UnsupportedCompressionType, refused, 5, "UNSUPPORTED_COMPRESSION_TYPE"},
		{OpProduce, kerr.UnsupportedForMessageFormat, refused, 5, "UNSUPPORTED_FOR_MESSAGE_FORMAT"},
		{OpProduce, kerr.CorruptMessage, restart, 1, "CORRUPT_MESSAGE"},
		// 7.3, TxnOffsetCommit.
		{OpOffsets, kerr.NotCoordinator, restart, 1, "NOT_COORDINATOR"},
		{OpOffsets, kerr.ConcurrentTransactions, restart, 1, "CONCURRENT_TRANSACTIONS"},
		{OpOffsets, kerr.UnknownMemberID, refused, 5, "UNKNOWN_MEMBER_ID"},
		{OpOffsets, kerr.IllegalGeneration, restart, 1, "ILLEGAL_GENERATION"},
		{OpOffsets, kerr.StaleMemberEpoch, restart, 1, "STALE_MEMBER_EPOCH"},
		{OpOffsets, kerr.FencedInstanceID, restart, 1, "FENCED_INSTANCE_ID"},
		{OpOffsets, kerr.GroupAuthorizationFailed, refused, 5, "GROUP_AUTHORIZATION_FAILED"},
		{OpOffsets, kerr.TopicAuthorizationFailed, refused, 5, "TOPIC_AUTHORIZATION_FAILED"},
		{OpOffsets, kerr.InvalidProducerEpoch, fence, 6, "INVALID_PRODUCER_EPOCH"},
		{OpOffsets, kerr.InvalidProducerIDMapping, fence, 6, "INVALID_PRODUCER_ID_MAPPING"},
		{OpOffsets, kerr.InvalidTxnState, fence, 6, "INVALID_TXN_STATE"},
		{OpOffsets, kerr.TransactionAbortable, restart, 1, "TRANSACTION_ABORTABLE"},
		// 7.3, Fetch and ListOffsets.
		{OpFetch, kerr.OffsetOutOfRange, refused, 6, "OFFSET_OUT_OF_RANGE"},
		{OpFetch, &kgo.ErrDataLoss{Topic: "t", ConsumedTo: 7}, refused, 6, CodeDataLoss},
		{OpFetch, kerr.UnknownTopicID, restart, 1, "UNKNOWN_TOPIC_ID"},
		{OpFetch, kerr.TopicAuthorizationFailed, refused, 5, "TOPIC_AUTHORIZATION_FAILED"},
		{OpFetch, kerr.CorruptMessage, refused, 5, CodeCorrupt},
		{OpFetch, errors.New("crc does not match"), refused, 5, CodeCorrupt},
		{OpFetch, &kgo.ErrDecompressTooLarge{Topic: "t"}, refused, 5, CodeCorrupt},
		{OpFetch, &net.OpError{Op: "dial", Err: errors.New("refused")}, restart, 1, CodeConnection},
		{OpList, kerr.OffsetNotAvailable, restart, 1, "OFFSET_NOT_AVAILABLE"},
		// Connecting and the gate.
		{OpConnect, kerr.SaslAuthenticationFailed, refused, 5, "SASL_AUTHENTICATION_FAILED"},
		{OpConnect, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, refused, 5, CodeTLS},
		{OpProduce, errors.New("cannot produce record transactionally if not in a transaction"), bug, 1, CodeNoTransaction},
		{OpBegin, errors.New("invalid attempt to begin a transaction while already in a transaction"), bug, 1, CodeNoTransaction},
	}
	for _, tt := range tests {
		e := Classify(tt.op, "t", fmt.Errorf("doing: %w", tt.err))
		if e.Class != tt.class || e.Code != tt.code || e.Exit != tt.exit {
			t.Errorf("%s %v: got %v exit %d %s, want %v exit %d %s", tt.op, tt.err, e.Class, e.Exit, e.Code, tt.class, tt.exit, tt.code)
		}
		if !errors.Is(e, tt.err) {
			t.Errorf("%s %v: the cause is lost", tt.op, tt.err)
		}
	}
}

func TestClassifySaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		op   string
		err  error
		want string
	}{
		{OpProduce, kerr.TopicAuthorizationFailed, "needs Topic x Write"},
		{OpFetch, kerr.TopicAuthorizationFailed, "needs Topic x Read"},
		{OpOffsets, kerr.TopicAuthorizationFailed, "needs Topic x Read"},
		{OpOffsets, kerr.GroupAuthorizationFailed, "needs Group x Read"},
		{OpEnd, kerr.TransactionalIDAuthorizationFailed, "needs TransactionalId x Write"},
		{OpOffsets, kerr.UnknownMemberID, "group x is in use by consumers"},
	}
	for _, tt := range tests {
		e := Classify(tt.op, "x", tt.err)
		if !strings.Contains(e.Error(), tt.want) || !strings.Contains(e.Error(), tt.op+" x: ") {
			t.Errorf("%q does not contain %q", e.Error(), tt.want)
		}
	}
}

func TestClassifyMarks(t *testing.T) {
	if e := Classify(OpProduce, "x", kerr.MessageTooLarge); !e.SameRecord {
		t.Error("a record that is too large stays too large")
	}
	if e := Classify(OpProduce, "x", kerr.TopicAuthorizationFailed); e.Grace != 30*time.Second {
		t.Errorf("rights of a producer are waited for %v", e.Grace)
	}
	if e := Classify(OpOffsets, "x", kerr.TopicAuthorizationFailed); e.Grace != 0 {
		t.Errorf("rights of a group are waited for %v", e.Grace)
	}
	if Classify(OpEnd, "x", nil) != nil || asError(Classify(OpEnd, "x", nil)) != nil {
		t.Error("nil is an error")
	}
	first := Classify(OpEnd, "x", kerr.ProducerFenced)
	if again := Classify(OpFetch, "y", fmt.Errorf("more: %w", first)); again != first {
		t.Error("an error was classified twice")
	}
}
