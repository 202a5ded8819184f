package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kstream/record"
)

func TestInspect(t *testing.T) {
	f := newFixture(t, kfake.ClusterID("the-cluster"), kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "120000"}))
	got, err := f.Inspect(t.Context())
	must(t, err)
	if got.ClusterID != "the-cluster" || !got.TransactionV2 || got.MaxTransactionTimeout != 2*time.Minute || got.Version == "" {
		t.Errorf("%+v", got)
	}
	// A client that must speak an older protocol has TV1 on any broker.
	old := connect(t, Config{Brokers: f.fake.ListenAddrs(), MaxVersions: "3.8"})
	if got, err = old.Inspect(t.Context()); err != nil || got.TransactionV2 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestInspectRefusesOldBrokers(t *testing.T) {
	f := newFixture(t, kfake.MaxVersions(kversion.V2_3_0()))
	_, err := f.Inspect(t.Context())
	e := wantError(t, err, refused, CodeUnsupported)
	for _, want := range []string{"InitProducerId version 3", "TxnOffsetCommit version 3", "OffsetFetch version 7", "Metadata version 10"} {
		if !strings.Contains(e.Detail, want) {
			t.Errorf("%q does not name %s", e.Detail, want)
		}
	}
	if e.Exit != 5 || strings.Contains(e.Detail, "EndTxn") {
		t.Errorf("%v", e)
	}
}

func TestConnectRefuses(t *testing.T) {
	began := time.Now()
	_, err := Connect(t.Context(), Config{Brokers: []string{"127.0.0.1:1"}, ConnectTimeout: 200 * time.Millisecond})
	if e := wantError(t, err, refused, CodeUnreachable); e.Exit != 5 || !strings.Contains(e.Detail, "cannot reach 127.0.0.1:1: ") {
		t.Errorf("%v", e)
	}
	if time.Since(began) > 5*time.Second {
		t.Errorf("refused after %v", time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Connect(ctx, Config{Brokers: []string{"127.0.0.1:1"}})
	wantError(t, err, restart, CodeCancelled)
	for _, bad := range []Config{{MaxVersions: "none"}, {SASL: SASL{Mechanism: "kerberos"}}} {
		_, err = Connect(t.Context(), bad)
		wantError(t, err, refused, CodeUnreachable)
	}
}

// TestConnectWaits: a broker that comes up late is found.
func TestConnectWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &kfake.VirtualNetwork{}
		time.AfterFunc(7*time.Second, func() {
			fake, err := StartFake(kfake.ListenFn(network.Listen), kfake.Ports(9092))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(fake.Close)
		})
		connect(t, Config{Brokers: []string{"localhost:9092"}, Dial: network.DialContext})
	})
}

func TestSASL(t *testing.T) {
	fake, err := StartFake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "p", "pw"), kfake.Superuser("SCRAM-SHA-256", "s", "pw"), kfake.Superuser("SCRAM-SHA-512", "s5", "pw"))
	must(t, err)
	t.Cleanup(fake.Close)
	for _, s := range []SASL{{"plain", "p", "pw"}, {"scram_sha_256", "s", "pw"}, {"scram_sha_512", "s5", "pw"}} {
		connect(t, Config{Brokers: fake.ListenAddrs(), SASL: s})
	}
	// The fake broker hangs up on a wrong password; real ones say why.
	stop := answer(fake, kmsg.SASLAuthenticate, 1<<40, func(_ kmsg.Request, r kmsg.Response) {
		r.(*kmsg.SASLAuthenticateResponse).ErrorCode = kerr.SaslAuthenticationFailed.Code
	})
	_, err = Connect(t.Context(), Config{Brokers: fake.ListenAddrs(), SASL: SASL{"plain", "p", "wrong"}, ConnectTimeout: 5 * time.Second})
	stop()
	if e := wantError(t, err, refused, "SASL_AUTHENTICATION_FAILED"); e.Exit != 5 {
		t.Error(e)
	}
	_, err = Connect(t.Context(), Config{Brokers: fake.ListenAddrs(), ConnectTimeout: 300 * time.Millisecond})
	if e := wantError(t, err, refused, CodeUnreachable); !strings.Contains(e.Detail, "SASL") {
		t.Errorf("%v does not say that SASL is missing", e)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	must(t, os.WriteFile(certFile, certPEM, 0o600))
	must(t, os.WriteFile(keyFile, keyPEM, 0o600))
	pair, err = tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	return certFile, keyFile, pair
}

func TestTLS(t *testing.T) {
	certFile, keyFile, pair := certificate(t)
	fake, err := StartFake(kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	must(t, err)
	t.Cleanup(fake.Close)
	good, err := BuildTLS(TLSFiles{CAFile: certFile, CertFile: certFile, KeyFile: keyFile})
	must(t, err)
	if good.MinVersion != tls.VersionTLS12 {
		t.Error("TLS older than 1.2 is allowed")
	}
	connect(t, Config{Brokers: fake.ListenAddrs(), TLS: good})
	connect(t, Config{Brokers: fake.ListenAddrs(), TLS: good, Dial: (&net.Dialer{}).DialContext})
	insecure, err := BuildTLS(TLSFiles{InsecureSkipVerify: true})
	must(t, err)
	connect(t, Config{Brokers: fake.ListenAddrs(), TLS: insecure})
	strict, err := BuildTLS(TLSFiles{})
	must(t, err)
	_, err = Connect(t.Context(), Config{Brokers: fake.ListenAddrs(), TLS: strict, ConnectTimeout: 5 * time.Second})
	wantError(t, err, refused, CodeTLS)
	_, err = Connect(t.Context(), Config{Brokers: fake.ListenAddrs(), ConnectTimeout: 300 * time.Millisecond})
	if e := wantError(t, err, refused, CodeUnreachable); !strings.Contains(e.Detail, "TLS") {
		t.Errorf("%v does not say that TLS is missing", e)
	}
	for _, bad := range []TLSFiles{{CAFile: "missing"}, {CAFile: keyFile}, {CertFile: certFile}, {CertFile: "missing", KeyFile: "missing"}} {
		_, err := BuildTLS(bad)
		wantError(t, err, refused, CodeTLS)
	}
}

func TestTopics(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(3, "there"))
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "made", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}}))
	got, err := f.Topics(t.Context(), []string{"there", "made", "absent"})
	must(t, err)
	if len(got) != 2 || got["there"].Partitions != 3 || got["made"].Partitions != 2 || got["made"].Config["cleanup.policy"] != "compact" {
		t.Errorf("%+v", got)
	}
	if id := got["made"].ID; id != record.TopicID(f.fake.TopicInfo("made").TopicID) || id == (record.TopicID{}) {
		t.Errorf("id %x", id)
	}
	if got, err := f.Topics(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no topics: %v %v", got, err)
	}
	wantError(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "made", Partitions: 2}), refused, "TOPIC_ALREADY_EXISTS")
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "made", Partitions: 2, Existing: true}))
	stop := answer(f.fake, kmsg.CreateTopics, 1, func(_ kmsg.Request, r kmsg.Response) {
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode, topic.ErrorMessage = "new", kerr.PolicyViolation.Code, kmsg.StringPtr("at least three replicas")
		r.(*kmsg.CreateTopicsResponse).Topics = []kmsg.CreateTopicsResponseTopic{topic}
	})
	defer stop()
	e := wantError(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "new", Partitions: 1}), refused, "POLICY_VIOLATION")
	if e.Exit != 5 || e.Detail != "at least three replicas" {
		t.Errorf("%+v", e)
	}
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "defaults"}))
	if got, err := f.Topics(t.Context(), []string{"defaults"}); err != nil || got["defaults"].Partitions != embeddedPartition {
		t.Errorf("%v %v", got, err)
	}
}

// TestCreateTopicWaitsForLeaders is G36.
func TestCreateTopicWaitsForLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := virtual(t)
		asked := 0
		f.fake.ControlKey(kmsg.Metadata.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			if topics := req.(*kmsg.MetadataRequest).Topics; len(topics) == 0 || f.fake.CurrentNode() < 0 {
				return nil, nil, false
			}
			if asked++; asked > 3 {
				return nil, nil, false
			}
			f.fake.KeepControl()
			resp := req.ResponseKind().(*kmsg.MetadataResponse)
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = kmsg.StringPtr("t"), kerr.UnknownTopicOrPartition.Code
			resp.Topics = append(resp.Topics, topic)
			return resp, nil, true
		})
		must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "t", Partitions: 1}))
		if asked < 2 {
			t.Errorf("the leaders were asked for %d times", asked)
		}
	})
}

func TestBoundsAndTimes(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(2, "t"))
	f.plain(t, "t", 1, "a", "b", "c") // at 1000, 2000, 3000
	must(t, f.fake.DeleteRecords("t", 1, 1))
	b, err := f.Bounds(t.Context(), "t")
	must(t, err)
	if want := []record.Bounds{{}, {Start: 1, Stable: 3, End: 3}}; fmt.Sprint(b) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", b, want)
	}
	for at, want := range map[record.Timestamp]record.Offset{2000: 1, 2001: 2, 9000: 3} {
		got, err := f.OffsetsAt(t.Context(), "t", at)
		if err != nil || len(got) != 2 || got[0] != 0 || got[1] != want {
			t.Errorf("at %d: %v %v, want %d", at, got, err, want)
		}
	}
	_, err = f.Bounds(t.Context(), "absent")
	wantError(t, err, restart, "UNKNOWN_TOPIC_OR_PARTITION")
	// A leader that is not sure yet is asked again.
	asked := 0
	stop := answer(f.fake, kmsg.ListOffsets, 2, func(req kmsg.Request, r kmsg.Response) {
		asked++
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "t"
		for p := range int32(2) {
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Partition, part.ErrorCode = p, kerr.OffsetNotAvailable.Code
			topic.Partitions = append(topic.Partitions, part)
		}
		r.(*kmsg.ListOffsetsResponse).Topics = []kmsg.ListOffsetsResponseTopic{topic}
	})
	defer stop()
	if b, err = f.Bounds(t.Context(), "t"); err != nil || b[1].End != 3 || asked != 2 {
		t.Errorf("%v %v after %d answers", b, err, asked)
	}
}

// TestWaitStable is I10.
func TestWaitStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := virtual(t, kfake.SeedTopics(2, "t"))
		s := f.fenced(t, nil)
		leaveOpen(t, s, "t", "a")
		id, _, err := s.client.ProducerID(t.Context())
		must(t, err)
		began := time.Now()
		_, err = f.WaitStable(t.Context(), "t", 5*time.Second)
		e := wantError(t, err, restart, CodeUnstable)
		if e.Partition != 0 || !strings.Contains(e.Detail, fmt.Sprintf("t/0: producer %d epoch", id)) || !strings.Contains(e.Detail, "open since offset 0") {
			t.Errorf("%v", e)
		}
		if waited := time.Since(began); waited < 5*time.Second || waited > 7*time.Second {
			t.Errorf("waited %v", waited)
		}
		time.AfterFunc(3*time.Second, func() {
			if _, err := s.End(context.Background()); err != nil {
				t.Error(err)
			}
		})
		// The end is that of the call: the marker is written later.
		end, err := f.WaitStable(t.Context(), "t", time.Minute)
		if err != nil || fmt.Sprint(end) != "[1 0]" {
			t.Errorf("%v %v", end, err)
		}
		synctest.Wait()
	})
}

func TestGroupOffsets(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(2, "in", "out"))
	got, err := f.GroupOffsets(t.Context(), "nobody")
	if err != nil || len(got) != 0 {
		t.Errorf("a group that does not exist: %v %v", got, err)
	}
	s := f.fenced(t, nil)
	leaveOpen(t, s, "out", "a")
	pos := position("in", 1, 42)
	pos.LeaderEpoch = 3
	must(t, s.CommitOffsets(t.Context(), "g", []record.Position{pos}, "kstream/1 epoch=7"))
	_, err = s.End(t.Context())
	must(t, err)
	got, err = f.GroupOffsets(t.Context(), "g")
	must(t, err)
	want := map[record.TopicPartition]record.GroupOffset{{Topic: "in", Partition: 1}: {Offset: 42, LeaderEpoch: 3, Metadata: "kstream/1 epoch=7"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDescribeTransaction(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	if got, err := f.DescribeTransaction(t.Context(), "kstream-test-0"); err != nil || got.State != "Unknown" {
		t.Errorf("%+v %v", got, err)
	}
	s := f.fenced(t, nil)
	leaveOpen(t, s, "t", "a")
	id, epoch, err := s.client.ProducerID(t.Context())
	must(t, err)
	got, err := f.DescribeTransaction(t.Context(), "kstream-test-0")
	must(t, err)
	if got.State != "Ongoing" || got.ProducerID != id || got.ProducerEpoch != epoch || fmt.Sprint(got.Partitions) != "[t/0]" || got.Age < 0 {
		t.Errorf("%+v", got)
	}
}
