// Errors that come from other processes: of a type of one's own, of one that nobody registered, and
// of a worker that leaves without a word.
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include <tandem/tandem.hpp>

namespace {

class NoSuchModel : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class Unheard : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

int load(const std::string& model) {
  if (model == "exit") std::exit(3);
  if (model == "unheard") throw Unheard("of this nobody has heard");
  if (model.empty()) throw std::invalid_argument("a model needs a name");
  throw NoSuchModel("no model " + model);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::register_exception<NoSuchModel>();  // before init: in the workers too
  tandem::init(argc, argv);

  tandem::Pool pool(1);
  int caught = 0;
  for (const char* model : {"bicycle", "", "unheard", "exit"}) {
    try {
      pool.apply(load, std::string(model));
    } catch (const NoSuchModel& e) {  // as it was thrown
      std::cout << e.what() << "\n  thrown in " << tandem::remote_trace(e) << '\n';
      caught += 1;
    } catch (const std::invalid_argument& e) {  // the standard's need no registration
      std::cout << e.what() << '\n';
      caught += 10;
    } catch (const tandem::RemoteError& e) {  // of a type that is not known here
      std::cout << e.type_name() << ": " << e.what() << '\n';
      caught += 100;
    } catch (const tandem::WorkerDied& e) {
      std::cout << "the worker ended with " << e.exit_code() << '\n';
      caught += e.exit_code() == 3 ? 1000 : 0;
    }
  }
  return caught == 1111 ? 0 : 1;
}
