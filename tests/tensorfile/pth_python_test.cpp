// Checkpoints as torch.save() writes them, with what training programs put beside the network.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/tensorfile/pth.h"

#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::run_shell;

constexpr const char* kBegin = R"(
import argparse, collections, datetime, decimal, fractions, os, pathlib, random, re, sys, types, uuid
import numpy, torch
folder = sys.argv[1]
sd = collections.OrderedDict(w=torch.arange(6.).reshape(2, 3), b=torch.ones(2, dtype=torch.float16))
def save(name, value, **more):
    for legacy in False, True:
        torch.save(value, f'{folder}/{"old_" if legacy else ""}{name}.pth',
                   _use_new_zipfile_serialization=not legacy, **more)
)";

class SavedByPython : public testing::Test {
 protected:
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python_torch(), "python3-torch");
  }
  void run(const std::string& script) {
    std::ofstream(folder_ / "save.py") << kBegin << script;
    const auto outcome = run_shell("/usr/bin/python3 '" + (folder_ / "save.py").string() + "' '" +
                                   folder_.path().string() + "'");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  std::vector<std::string> names(const std::string& file) const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : read_pth(folder_ / file)) names.push_back(name);
    return names;
  }
  std::string refusal(const std::string& file) const {
    return message_from<CheckpointError>([&] { read_pth(folder_ / file); });
  }

  TemporaryFolder folder_;
};

TEST_F(SavedByPython, HarmlessValuesArePassedOverOneByOne) {
  run(R"(
E = types.SimpleNamespace
values = dict(
    number=numpy.float64(.5), integer=numpy.int64(3), flag=numpy.bool_(True), array=numpy.arange(3),
    object_array=numpy.array(['a', None], dtype=object), text=numpy.str_('x'), kind=numpy.float32,
    dtype=numpy.dtype('f4'), numpy_state=numpy.random.get_state(), generator=numpy.random.default_rng(1),
    old_generator=numpy.random.RandomState(1), python_state=random.getstate(), state=torch.get_rng_state(),
    path=pathlib.PosixPath('/a/b'), pure=pathlib.PurePosixPath('a'), windows=pathlib.PureWindowsPath('c:/'),
    device=torch.device('cuda:1'), cpu=torch.device('cpu'), type=torch.float32, half=torch.bfloat16,
    size=torch.Size([2, 3]), counter=collections.Counter('aab'),
    set={1, 2}, frozen=frozenset([1]), default=collections.defaultdict(list, a=[1]), deque=collections.deque([1], 3),
    complex=1 + 2j, bytes=b'abc\xff', array_of_bytes=bytearray(b'abc'), range=range(3), slice=slice(1, 2), nothing=type(None),
    time=datetime.datetime.now(datetime.timezone.utc), span=datetime.timedelta(1), day=datetime.date.today(),
    decimal=decimal.Decimal('1.5'), fraction=fractions.Fraction(1, 3), uuid=uuid.uuid4(), space=E(a=1, b=E()),
    args=argparse.Namespace(lr=1e-3, out=pathlib.Path('x'), when=datetime.datetime.now()), big=2 ** 80,
    deep={'a': [({'b': numpy.float64(1)},)]}, version=torch.__version__, int_class=int, list_class=list,
    ellipsis=..., missing=NotImplemented, dictionary=collections.UserDict(a=1), list_of_user=collections.UserList([1]),
    pattern=re.compile('a+'), matrix=numpy.matrix([[1]]), masked=numpy.ma.masked_array([1, 2], mask=[0, 1]),
    records=numpy.rec.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f4')]))
for name, value in values.items():
    for protocol in 2, 5:
        save(f'{name}_{protocol}', {'model': sd, name: value}, pickle_protocol=protocol)
save('sparse', {'model': sd, 'x': torch.eye(2).to_sparse(), 'q': torch.quantize_per_tensor(torch.ones(3), .1, 0, torch.qint8),
                'c': torch.ones(2, dtype=torch.complex64)})
)");
  int64_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    if (entry.path().extension() != ".pth") continue;
    ++files;
    try {
      const NamedTensors tensors = read_pth(entry.path());
      ASSERT_GE(tensors.size(), 2u) << entry.path();
      EXPECT_EQ(tensors[0].first, "model.w") << entry.path();
      EXPECT_TRUE(tensors[0].second.equal(torch::arange(6.0).reshape({2, 3}).to(torch::kFloat32)));
      EXPECT_EQ(tensors[1].second.scalar_type(), torch::kFloat16);
    } catch (const CheckpointError& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GT(files, 150);
}

// The class of a file that is not ours is made at the moment that Python's own reader sees its name.
TEST_F(SavedByPython, WhatWouldRunIsRefusedWithItsKeyAndNotRun) {
  run(R"(
class Runs:
    def __reduce__(self):
        return os.system, (f'touch {folder}/ran',)
class Config:
    pass
config = Config()
config.lr = 1
save('runs', {'model': sd, 'callbacks': {'stop': [Runs()]}})
save('evals', {'model': sd, 'x': type('E', (), {'__reduce__': lambda self: (eval, ('1',))})()})
save('config', {'state_dict': sd, 'hyper_parameters': {'cfg': config}})
save('whole', torch.nn.Linear(2, 3))
save('lambdas', {'model': sd, 'norm': torch.nn.functional.relu})
)");
  EXPECT_THAT(refusal("runs.pth"),
              AllOf(HasSubstr("runs.pth"), HasSubstr(".system under 'callbacks.stop.0'")));
  EXPECT_THAT(refusal("old_runs.pth"), HasSubstr(".system under 'callbacks.stop.0'"));
  EXPECT_THAT(refusal("evals.pth"), HasSubstr("eval under 'x'"));
  for (const char* file : {"config.pth", "old_config.pth"})
    EXPECT_THAT(refusal(file), HasSubstr("__main__.Config under 'hyper_parameters.cfg'"));
  EXPECT_THAT(refusal("whole.pth"), AllOf(HasSubstr("torch.nn.modules.linear.Linear as the whole object"),
                                          HasSubstr("model.state_dict()")));
  EXPECT_THAT(refusal("lambdas.pth"), HasSubstr("under 'norm'"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ran"));
}

TEST_F(SavedByPython, TensorsKeepTheirPlaces) {
  run(R"(
w = torch.nn.Parameter(torch.ones(2))
shared = torch.arange(4.)
optimizer = torch.optim.Adam([w])
w.sum().backward()
optimizer.step()
save('x', {'epoch': 3, 'state_dict': {'model.w': w, 'model.view': shared[1:3]}, 'optimizer_states': [optimizer.state_dict()],
           'best': shared})
)");
  for (const char* file : {"x.pth", "old_x.pth"})
    EXPECT_THAT(
        names(file),
        ElementsAre("state_dict.model.w", "state_dict.model.view", "optimizer_states.0.state.0.step",
                    "optimizer_states.0.state.0.exp_avg", "optimizer_states.0.state.0.exp_avg_sq", "best"));
}

}  // namespace
}  // namespace cavmae
